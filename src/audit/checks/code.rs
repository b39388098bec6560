//! Actions, rules and hooks.

use super::super::code::Smell;
use super::super::tenant::{Action, Part, Switched, Thing};
use super::tenant::{NODE_MIN, major};
use super::{Area, Check, Judged, Outcome, Scene, Severity, part};

const REQUIRED_FIXES: &str =
    "https://auth0.com/docs/deploy-monitor/pre-deployment-checks/production-check-required-fixes";
const BEST: &str = "https://auth0.com/docs/deploy-monitor/pre-deployment-checks/production-checks-best-practices";
const SCRIPTS: &str = "https://auth0.com/docs/authenticate/database-connections/custom-db/action-script-best-practices";

const fn check(
    id: &'static str,
    severity: Severity,
    title: &'static str,
    looks_at: &'static str,
    why: &'static str,
    fix: &'static str,
    docs: &'static str,
    judge: fn(&Scene<'_>, &mut Outcome) -> Judged,
) -> Check {
    Check { id, area: Area::Code, severity, title, looks_at, why, fix, docs, judge }
}

use Severity::{BestPractice, Recommended, Required};

#[rustfmt::skip]
pub const CHECKS: &[Check] = &[
    check("action-node-version", Required, "An Action runs on an old Node.js", "actions: runtime", "a version that is no longer kept up gets no fixes, and Auth0 withdraws it", "move the Action to the newest runtime", REQUIRED_FIXES, |scene, out| {
        for action in part(&scene.tenant.actions)? {
            match out.read(&action.thing, &action.runtime) {
                Some(Some(runtime)) if major(runtime).is_some_and(|major| major < NODE_MIN) => out.at(&action.thing, &action.runtime, format!("its runtime is {runtime}, older than {NODE_MIN}")),
                Some(None) => out.unjudged(&action.thing, action.runtime.key, "not there"),
                _ => {}
            }
        }
        Ok(())
    }),
    check("action-secret", Required, "An Action seems to hold a secret in its code", "actions: code", "everybody who may read Actions, or an export of them, has the secret", "put it into the Action's secrets, and rotate it", BEST, |scene, out| {
        for action in part(&scene.tenant.actions)? { smelling(&action.thing, &action.smells, out); }
        Ok(())
    }),
    check("database-script-secret", Recommended, "A database script seems to hold a secret in its code", "databases: options.customScripts", "everybody who may read connections, or an export of them, has the secret", "put it into the connection's configuration values, and rotate it", SCRIPTS, |scene, out| {
        for database in part(&scene.tenant.databases)? { smelling(&database.thing, &database.script_smells, out); }
        Ok(())
    }),
    check("rules-left", Required, "Rules are still on", "rules: enabled", "Auth0 withdraws rules", "move them to Actions, then switch them off", REQUIRED_FIXES, |scene, out| {
        left(part(&scene.tenant.rules)?, out);
        Ok(())
    }),
    check("hooks-left", Required, "Hooks are still on", "hooks: enabled", "Auth0 withdraws hooks", "move them to Actions, then switch them off", REQUIRED_FIXES, |scene, out| {
        left(part(&scene.tenant.hooks)?, out);
        Ok(())
    }),
    check("pkce-not-enforced", BestPractice, "No Action insists on PKCE", "clients: app_type, grant_types; actions: code of post-login", "Auth0 takes authorization requests of public applications without it", "deny logins of public applications without a code challenge in a post-login Action", "https://auth0.com/docs/get-started/authentication-and-authorization-flow/authorization-code-flow-with-pkce", |scene, out| {
        let actions = of_trigger(part(&scene.tenant.actions)?, "post-login");
        let public: Vec<_> = super::applications::clients(scene)?.filter(|client| {
            client.app_type.known().is_some_and(|kind| matches!(kind.as_str(), "spa" | "native")) && client.grant_types.has("authorization_code")
        }).collect();
        let enforces = actions.iter().any(|action| action.traits.as_ref().is_ok_and(|traits| traits.reads_code_challenge && traits.denies_access));
        if enforces || public.is_empty() { return Ok(()); }
        unreadable(&actions, out);
        if out.unjudged.is_empty() { for client in public { out.thing(&client.thing, "no post-login Action looks at code_challenge and denies access"); } }
        Ok(())
    }),
    check("password-reset-mfa", Recommended, "A password can be reset by e-mail alone", "databases; actions: code of password-reset-post-challenge", "whoever reads a user's mail has the account, MFA or not", "challenge with another factor in a post-challenge Action of password resets", "https://auth0.com/docs/authenticate/database-connections/password-change", |scene, out| {
        let actions = of_trigger(part(&scene.tenant.actions)?, "password-reset-post-challenge");
        let databases: Vec<_> = part(&scene.tenant.databases)?.iter().filter(|database| !database.passwords.is(&false)).collect();
        if actions.iter().any(|action| action.traits.as_ref().is_ok_and(|traits| traits.challenges)) || databases.is_empty() { return Ok(()); }
        unreadable(&actions, out);
        if out.unjudged.is_empty() { for database in databases { out.thing(&database.thing, "no Action of password-reset-post-challenge challenges with a factor"); } }
        Ok(())
    }),
    check("signup-tells-users", BestPractice, "An Action tells at signup who has an account", "actions: code of pre-user-registration", "whoever has a list of addresses learns which of them are users", "deny with the same words whether or not somebody is known", "https://auth0.com/docs/secure/attack-protection/playbooks/signup-attack-playbook", |scene, out| {
        for action in of_trigger(part(&scene.tenant.actions)?, "pre-user-registration") {
            match &action.traits {
                Ok(traits) if traits.denies_signup_with_reason => out.thing(&action.thing, "it denies a signup, and says that somebody exists"),
                Ok(_) => {}
                Err(why) => out.unjudged(&action.thing, "code", why),
            }
        }
        Ok(())
    }),
    check("error-page-unescaped", Required, "The error page shows parameters as they come", "tenant: error_page.html, pages: error_page", "a link to an error can carry a script, which then runs at the tenant's domain", "add | escape to every expression", "https://auth0.com/docs/deploy-monitor/pre-deployment-checks/production-check-recommended-fixes", |scene, out| {
        let Some(page) = part(&scene.tenant.error_page)? else { return Ok(()) };
        match &page.unescaped {
            Ok(lines) => for line in lines { out.thing(&page.thing, format!("line {line} of the page has an expression that is not escaped")); },
            Err(why) => out.unjudged(&page.thing, "html", why),
        }
        Ok(())
    }),
];

fn smelling(thing: &Thing, smells: &Part<Vec<Smell>>, out: &mut Outcome) {
    match smells {
        Ok(smells) => smells.iter().for_each(|smell| {
            out.script(thing, &smell.place, smell.line, format!("line {} of the script: {}", smell.line, smell.what));
        }),
        Err(why) => out.unjudged(thing, "code", why),
    }
}

fn left(all: &[Switched], out: &mut Outcome) {
    for one in all {
        // What does not say is on.
        if matches!(out.read(&one.thing, &one.enabled), Some(None | Some(true))) {
            out.thing(&one.thing, "it is on");
        }
    }
}

fn of_trigger<'a>(actions: &'a [Action], trigger: &str) -> Vec<&'a Action> {
    actions.iter().filter(|action| action.triggers.has(trigger) && !action.deployed.is(&false)).collect()
}

fn unreadable(actions: &[&Action], out: &mut Outcome) {
    for action in actions {
        if let Err(why) = &action.traits {
            out.unjudged(&action.thing, "code", why);
        }
    }
}
