//! Actions, rules and hooks.

use super::super::code::Smell;
use super::super::tenant::{Action, Part, Switched, Thing};
use super::tenant::{NODE_MIN, major};
use super::{Area, Check, Outcome, Severity, part};

const REQUIRED_FIXES: &str =
    "https://auth0.com/docs/deploy-monitor/pre-deployment-checks/production-check-required-fixes";
const BEST: &str = "https://auth0.com/docs/deploy-monitor/pre-deployment-checks/production-checks-best-practices";
const SCRIPTS: &str = "https://auth0.com/docs/authenticate/database-connections/custom-db/action-script-best-practices";

use Severity::{BestPractice, Recommended, Required};

pub const CHECKS: &[Check] = &[
    Check {
        id: "action-node-version",
        area: Area::Code,
        severity: Required,
        title: "An Action runs on an old Node.js",
        looks_at: "actions: runtime",
        why: "a version that is no longer kept up gets no fixes, and Auth0 withdraws it",
        fix: "move the Action to the newest runtime",
        docs: REQUIRED_FIXES,
        judge: |scene, out| {
            for action in part(&scene.tenant.actions)? {
                match out.read(&action.thing, &action.runtime) {
                    Some(Some(runtime)) if major(runtime).is_some_and(|major| major < NODE_MIN) => out.at(
                        &action.thing,
                        &action.runtime,
                        format!("its runtime is {runtime}, older than {NODE_MIN}"),
                    ),
                    Some(None) => out.unjudged(&action.thing, action.runtime.key, "not there"),
                    _ => {}
                }
            }
            Ok(())
        },
    },
    Check {
        id: "action-secret",
        area: Area::Code,
        severity: Required,
        title: "An Action seems to hold a secret in its code",
        looks_at: "actions: code",
        why: "everybody who may read Actions, or an export of them, has the secret",
        fix: "put it into the Action's secrets, and rotate it",
        docs: BEST,
        judge: |scene, out| {
            for action in part(&scene.tenant.actions)? {
                smelling(&action.thing, &action.smells, out);
            }
            Ok(())
        },
    },
    Check {
        id: "database-script-secret",
        area: Area::Code,
        severity: Recommended,
        title: "A database script seems to hold a secret in its code",
        looks_at: "databases: options.customScripts",
        why: "everybody who may read connections, or an export of them, has the secret",
        fix: "put it into the connection's configuration values, and rotate it",
        docs: SCRIPTS,
        judge: |scene, out| {
            for database in part(&scene.tenant.databases)? {
                smelling(&database.thing, &database.script_smells, out);
            }
            Ok(())
        },
    },
    Check {
        id: "script-logs",
        area: Area::Code,
        severity: BestPractice,
        title: "A script writes to its log",
        looks_at: "actions: code; databases: options.customScripts",
        why: "what it writes may hold tokens and users' data, and is kept where nobody looks after it",
        fix: "leave console.log to development",
        docs: "https://auth0.com/docs/deploy-monitor/pre-deployment-checks/pre-launch-tips",
        judge: |scene, out| {
            for action in part(&scene.tenant.actions)? {
                smelling(&action.thing, &action.logs, out);
            }
            for database in part(&scene.tenant.databases)? {
                smelling(&database.thing, &database.script_logs, out);
            }
            Ok(())
        },
    },
    Check {
        id: "rules-left",
        area: Area::Code,
        severity: Required,
        title: "Rules are still on",
        looks_at: "rules: enabled",
        why: "Auth0 withdraws rules",
        fix: "move them to Actions, then switch them off",
        docs: REQUIRED_FIXES,
        judge: |scene, out| {
            left(part(&scene.tenant.rules)?, out);
            Ok(())
        },
    },
    Check {
        id: "hooks-left",
        area: Area::Code,
        severity: Required,
        title: "Hooks are still on",
        looks_at: "hooks: enabled",
        why: "Auth0 withdraws hooks",
        fix: "move them to Actions, then switch them off",
        docs: REQUIRED_FIXES,
        judge: |scene, out| {
            left(part(&scene.tenant.hooks)?, out);
            Ok(())
        },
    },
    Check {
        id: "pkce-not-enforced",
        area: Area::Code,
        severity: BestPractice,
        title: "No Action insists on PKCE",
        looks_at: "clients: app_type, grant_types; actions: code of post-login",
        why: "Auth0 takes authorization requests of public applications without it",
        fix: "deny logins of public applications without a code challenge in a post-login Action",
        docs: "https://auth0.com/docs/get-started/authentication-and-authorization-flow/authorization-code-flow-with-pkce",
        judge: |scene, out| {
            let actions = of_trigger(part(&scene.tenant.actions)?, "post-login");
            let public: Vec<_> = super::applications::clients(scene)?
                .filter(|client| {
                    client.app_type.known().is_some_and(|kind| matches!(kind.as_str(), "spa" | "native"))
                        && client.grant_types.has("authorization_code")
                })
                .collect();
            let enforces = actions.iter().any(|action| {
                action.traits.as_ref().is_ok_and(|traits| traits.reads_code_challenge && traits.denies_access)
            });
            if enforces || public.is_empty() {
                return Ok(());
            }
            unreadable(&actions, out);
            if out.unjudged.is_empty() {
                for client in public {
                    out.thing(&client.thing, "no post-login Action looks at code_challenge and denies access");
                }
            }
            Ok(())
        },
    },
    Check {
        id: "password-reset-mfa",
        area: Area::Code,
        severity: Recommended,
        title: "A password can be reset by e-mail alone",
        looks_at: "databases; actions: code of password-reset-post-challenge",
        why: "whoever reads a user's mail has the account, MFA or not",
        fix: "challenge with another factor in a post-challenge Action of password resets",
        docs: "https://auth0.com/docs/authenticate/database-connections/password-change",
        judge: |scene, out| {
            let actions = of_trigger(part(&scene.tenant.actions)?, "password-reset-post-challenge");
            let databases: Vec<_> =
                part(&scene.tenant.databases)?.iter().filter(|database| !database.passwords.is(&false)).collect();
            if actions.iter().any(|action| action.traits.as_ref().is_ok_and(|traits| traits.challenges))
                || databases.is_empty()
            {
                return Ok(());
            }
            unreadable(&actions, out);
            if out.unjudged.is_empty() {
                for database in databases {
                    out.thing(&database.thing, "no Action of password-reset-post-challenge challenges with a factor");
                }
            }
            Ok(())
        },
    },
    Check {
        id: "signup-tells-users",
        area: Area::Code,
        severity: BestPractice,
        title: "An Action tells at signup who has an account",
        looks_at: "actions: code of pre-user-registration",
        why: "whoever has a list of addresses learns which of them are users",
        fix: "deny with the same words whether or not somebody is known",
        docs: "https://auth0.com/docs/secure/attack-protection/playbooks/signup-attack-playbook",
        judge: |scene, out| {
            for action in of_trigger(part(&scene.tenant.actions)?, "pre-user-registration") {
                match &action.traits {
                    Ok(traits) if traits.denies_signup_with_reason => {
                        out.thing(&action.thing, "it denies a signup, and says that somebody exists")
                    }
                    Ok(_) => {}
                    Err(why) => out.unjudged(&action.thing, "code", why.map(|why| format!("not known: {why}"))),
                }
            }
            Ok(())
        },
    },
    Check {
        id: "error-page-unescaped",
        area: Area::Code,
        severity: Required,
        title: "The error page shows parameters as they come",
        looks_at: "tenant: error_page.html, pages: error_page",
        why: "a link to an error can carry a script, which then runs at the tenant's domain",
        fix: "add | escape to every expression",
        docs: "https://auth0.com/docs/deploy-monitor/pre-deployment-checks/production-check-recommended-fixes",
        judge: |scene, out| {
            let Some(page) = part(&scene.tenant.error_page)? else { return Ok(()) };
            match &page.unescaped {
                Ok(lines) => {
                    for line in lines {
                        out.thing(
                            &page.thing,
                            format!("line {line} of the page has an expression that is not escaped"),
                        );
                    }
                }
                Err(why) => out.unjudged(&page.thing, "html", why.map(|why| format!("not known: {why}"))),
            }
            Ok(())
        },
    },
];

fn smelling(thing: &Thing, smells: &Part<Vec<Smell>>, out: &mut Outcome) {
    match smells {
        Ok(smells) => smells.iter().for_each(|smell| {
            out.script(thing, &smell.place, smell.line, format!("line {} of the script: {}", smell.line, smell.what));
        }),
        Err(why) => out.unjudged(thing, "code", why.map(|why| format!("not known: {why}"))),
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
    actions.iter().filter(|action| runs_at(action, trigger)).collect()
}

/// Whether an Action runs there, as far as the configuration tells: one that does not say where it runs may.
pub(super) fn runs_at(action: &Action, trigger: &str) -> bool {
    let tells = action.triggers.known().is_some() && !action.triggers.is_open();
    (action.triggers.has(trigger) || !tells) && !action.deployed.is(&false)
}

fn unreadable(actions: &[&Action], out: &mut Outcome) {
    for action in actions {
        if let Err(why) = &action.traits {
            out.unjudged(&action.thing, "code", why.map(|why| format!("not known: {why}")));
        }
    }
}
