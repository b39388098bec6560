//! Actions, rules and hooks.

use super::super::code::{Smell, Traits};
use super::super::tenant::{Action, Bindings, Part, Switched, Texts, Thing};
use super::tenant::{NODE_MIN, major};
use super::{Area, Check, NotRun, Outcome, Scene, Severity, part};

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
        looks_at: "clients: app_type, grant_types; actions: code; triggers: post-login",
        why: "Auth0 takes authorization requests of public applications without it",
        fix: "deny logins of public applications without a code challenge in a post-login Action",
        docs: "https://auth0.com/docs/get-started/authentication-and-authorization-flow/authorization-code-flow-with-pkce",
        judge: |scene, out| {
            let public: Vec<_> = super::applications::clients(scene)?
                .filter(|client| {
                    client.app_type.known().is_some_and(|kind| matches!(kind.as_str(), "spa" | "native"))
                        && client.grant_types.has("authorization_code")
                })
                .collect();
            let enforces = |traits: &Traits| traits.reads_code_challenge && traits.denies_access;
            if public.is_empty() || does(scene, Trigger::PostLogin, out, enforces)? {
                return Ok(());
            }
            if out.unjudged.is_empty() {
                for client in public {
                    out.thing(&client.thing, "no Action bound to post-login looks at code_challenge and denies access");
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
        looks_at: "databases; actions: code; triggers: password-reset-post-challenge",
        why: "whoever reads a user's mail has the account, MFA or not",
        fix: "challenge with another factor in a post-challenge Action of password resets",
        docs: "https://auth0.com/docs/authenticate/database-connections/password-change",
        judge: |scene, out| {
            let databases: Vec<_> =
                part(&scene.tenant.databases)?.iter().filter(|database| !database.passwords.is(&false)).collect();
            if databases.is_empty() || does(scene, Trigger::PasswordReset, out, |traits| traits.challenges)? {
                return Ok(());
            }
            if out.unjudged.is_empty() {
                for database in databases {
                    out.thing(
                        &database.thing,
                        "no Action bound to password-reset-post-challenge challenges with a factor",
                    );
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
        looks_at: "actions: code; triggers: pre-user-registration",
        why: "whoever has a list of addresses learns which of them are users",
        fix: "deny with the same words whether or not somebody is known",
        docs: "https://auth0.com/docs/secure/attack-protection/playbooks/signup-attack-playbook",
        judge: |scene, out| {
            for action in part(&scene.tenant.actions)? {
                let runs = runs(scene, action, Trigger::PreUserRegistration);
                match (&action.traits, runs) {
                    (_, Ok(false)) => {}
                    (Ok(traits), _) if !traits.denies_signup_with_reason => {}
                    (Ok(_), Ok(true)) => out.thing(&action.thing, "it denies a signup, and says that somebody exists"),
                    (Ok(_), Err(why)) => out.unjudged(&action.thing, "where it runs", why),
                    (Err(why), _) => out.unjudged(&action.thing, "code", why.map(|why| format!("not known: {why}"))),
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

/// Where Actions run.
#[derive(Clone, Copy)]
pub(super) enum Trigger {
    PostLogin,
    PreUserRegistration,
    PasswordReset,
}

impl Trigger {
    fn name(self) -> &'static str {
        match self {
            Self::PostLogin => "post-login",
            Self::PreUserRegistration => "pre-user-registration",
            Self::PasswordReset => "password-reset-post-challenge",
        }
    }

    /// The Actions that are bound to it.
    fn of(self, bindings: &Bindings) -> &Texts {
        match self {
            Self::PostLogin => &bindings.post_login,
            Self::PreUserRegistration => &bindings.pre_user_registration,
            Self::PasswordReset => &bindings.password_reset,
        }
    }
}

/// Whether an Action runs there: it is deployed, and bound to it. One that does not say where it may run may anywhere.
fn runs(scene: &Scene<'_>, action: &Action, trigger: Trigger) -> Result<bool, NotRun> {
    let tells = action.triggers.known().is_some() && !action.triggers.is_open();
    if tells && !action.triggers.has(trigger.name()) || action.deployed.is(&false) {
        return Ok(false);
    }
    let not_known = |why: NotRun| why.map(|why| format!("not known: {why}"));
    // auth0-deploy-cli leaves triggers out to which nothing is bound.
    let Some(bindings) = part(&scene.tenant.bindings).map_err(not_known)? else { return Ok(false) };
    let bound = trigger.of(bindings);
    match (bound.has(&action.thing.name), bound.open()) {
        (true, _) => Ok(true),
        (false, Some(why)) => Err(not_known(why)),
        (false, None) if action.thing.is_unnamed && !bound.is_empty() => {
            Err("not known: its name is a placeholder".into())
        }
        (false, None) => Ok(false),
    }
}

/// Whether an Action that runs there is one of the wanted; notes those of which nobody knows, if none is known to be.
pub(super) fn does(
    scene: &Scene<'_>,
    trigger: Trigger,
    out: &mut Outcome,
    is_wanted: impl Fn(&Traits) -> bool,
) -> Result<bool, NotRun> {
    let mut open = Vec::new();
    for action in part(&scene.tenant.actions)? {
        match (&action.traits, runs(scene, action, trigger)) {
            (_, Ok(false)) => {}
            (Ok(traits), _) if !is_wanted(traits) => {}
            (Ok(_), Ok(true)) => return Ok(true),
            (Ok(_), Err(why)) => open.push((action, "where it runs", why)),
            (Err(why), _) => open.push((action, "code", why.map(|why| format!("not known: {why}")))),
        }
    }
    open.into_iter().for_each(|(action, what, why)| out.unjudged(&action.thing, what, why));
    Ok(false)
}
