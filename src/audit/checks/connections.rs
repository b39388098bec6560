//! Databases, and connections to others.

use super::super::tenant::{Connection, Flexible, Known};
use super::{Area, Check, Judged, NOT_THERE, NotRun, Outcome, Scene, Severity, part};
use crate::usage::activity::is_enterprise;

const STRENGTH: &str = "https://auth0.com/docs/authenticate/database-connections/password-strength";
const OPTIONS: &str = "https://auth0.com/docs/authenticate/database-connections/password-options";

use Severity::{BestPractice, Recommended, Required};

/// Strategies of social connections (Auth0 Management API, connections); what is none of these and none of the enterprise
/// ones is not judged as either.
#[rustfmt::skip]
const SOCIAL: [&str; 44] = [
    "amazon", "aol", "apple", "baidu", "bitbucket", "bitly", "box", "daccount", "dropbox", "dwolla", "evernote",
    "evernote-sandbox", "exact", "facebook", "fitbit", "github", "google-oauth2", "instagram", "line", "linkedin",
    "miicard", "paypal", "paypal-sandbox", "planningcenter", "renren", "salesforce", "salesforce-community",
    "salesforce-sandbox", "shop", "shopify", "soundcloud", "spotify", "thecity", "thecity-sandbox",
    "thirtysevensignals", "twitter", "untappd", "vkontakte", "weibo", "windowslive", "wordpress", "yahoo", "yammer",
    "yandex",
];

pub const CHECKS: &[Check] = &[
    Check {
        id: "social-developer-keys",
        area: Area::Connections,
        severity: Required,
        title: "A social connection uses Auth0's developer keys",
        looks_at: "connections: strategy, options.client_id (a convention; Auth0 does not document it)",
        why: "they are for trying out: no single sign-on, no custom domain, limits that all tenants share, and consent pages in Auth0's name",
        fix: "register an application at the provider, and enter its keys",
        docs: "https://auth0.com/docs/authenticate/identity-providers/social-identity-providers/devkeys",
        judge: |scene, out| {
            for connection in part(&scene.tenant.connections)? {
                let is_social = out
                    .read(&connection.thing, &connection.strategy)
                    .flatten()
                    .is_some_and(|strategy| SOCIAL.contains(&strategy.as_str()));
                if is_social && connection.has_own_keys.is(&false) {
                    out.at(
                        &connection.thing,
                        &connection.has_own_keys,
                        "options.client_id is empty, which stands for Auth0's developer keys",
                    );
                }
            }
            Ok(())
        },
    },
    Check {
        id: "database-password-policy",
        area: Area::Connections,
        severity: Required,
        title: "Passwords may be weak",
        looks_at: "databases: options.passwordPolicy; or options.password_options.complexity.character_types and dictionary",
        why: "short and common passwords are guessed",
        fix: "set the policy to good or excellent; a flexible one to three sorts of characters, or to a dictionary",
        docs: STRENGTH,
        judge: |scene, out| {
            each(scene, out, |database, out| match &database.flexible {
                Some(flexible) => is_strong(database, flexible, out),
                None => match out.read(&database.thing, &database.password_policy) {
                    Some(Some(policy)) if matches!(policy.as_str(), "good" | "excellent") => {}
                    Some(Some(policy)) => out.at(
                        &database.thing,
                        &database.password_policy,
                        format!("options.passwordPolicy is {policy}"),
                    ),
                    Some(None) => {
                        out.at(&database.thing, &database.password_policy, "options.passwordPolicy is not set")
                    }
                    None => {}
                },
            })
        },
    },
    Check {
        id: "database-password-length",
        area: Area::Connections,
        severity: Recommended,
        title: "Passwords may be shorter than eight characters",
        looks_at: "databases: options.password_complexity_options.min_length, options.password_options.complexity.min_length",
        why: "the shortest passwords are guessed first",
        fix: "set the least length to eight or more",
        docs: STRENGTH,
        judge: |scene, out| {
            each(scene, out, |database, out| {
                match out.read(&database.thing, &database.min_length) {
                    Some(Some(length)) if *length < 8.0 => {
                        out.at(&database.thing, &database.min_length, format!("min_length is {length}"))
                    }
                    Some(None) if database.flexible.is_some() => {
                        out.unjudged(&database.thing, database.min_length.key, NOT_THERE);
                    }
                    // The policies fair, good and excellent ask for eight.
                    Some(None)
                        if !database
                            .password_policy
                            .known()
                            .is_some_and(|policy| matches!(policy.as_str(), "fair" | "good" | "excellent")) =>
                    {
                        out.at(
                            &database.thing,
                            &database.min_length,
                            "min_length is not set, and no policy asks for eight",
                        );
                    }
                    _ => {}
                }
            })
        },
    },
    Check {
        id: "database-password-history",
        area: Area::Connections,
        severity: BestPractice,
        title: "Old passwords may be used again",
        looks_at: "databases: options.password_history, options.password_options.history",
        why: "a password that had to be changed comes back",
        fix: "switch the history on, and let it remember five passwords or more",
        docs: OPTIONS,
        judge: |scene, out| {
            each(scene, out, |database, out| {
                let evidence = format!("{} is not true", database.password_history.key);
                out.not_on(&database.thing, &database.password_history, &evidence);
                // Not set, it is five.
                if !database.password_history.is(&true) {
                    return;
                }
                if let Some(Some(size)) = out
                    .read(&database.thing, &database.history_size)
                    .filter(|size| size.is_some_and(|size| *size < 5.0))
                {
                    let evidence = format!("{} is {size}", database.history_size.key);
                    out.at(&database.thing, &database.history_size, evidence);
                }
            })
        },
    },
    Check {
        id: "database-password-personal",
        area: Area::Connections,
        severity: Recommended,
        title: "Passwords may hold the user's own data",
        looks_at: "databases: options.password_no_personal_info, options.password_options.profile_data",
        why: "names and addresses are what is tried first",
        fix: "do not allow personal data in passwords",
        docs: OPTIONS,
        judge: |scene, out| {
            each(scene, out, |database, out| {
                let evidence = format!("{} is not true", database.no_personal_info.key);
                out.not_on(&database.thing, &database.no_personal_info, &evidence);
            })
        },
    },
    Check {
        id: "database-brute-force",
        area: Area::Connections,
        severity: Recommended,
        title: "A database is left out of brute force protection",
        looks_at: "databases: options.brute_force_protection (as exports have it; not confirmed for today's API)",
        why: "passwords of its users are tried without an end",
        fix: "switch it on for the database",
        docs: "https://auth0.com/docs/secure/attack-protection/brute-force-protection",
        judge: |scene, out| {
            every(scene, out, |database, out| {
                if out.read(&database.thing, &database.brute_force) == Some(Some(&false)) {
                    out.at(&database.thing, &database.brute_force, "options.brute_force_protection is false");
                }
            })
        },
    },
    Check {
        id: "database-custom-scripts",
        area: Area::Connections,
        severity: BestPractice,
        title: "A database is somewhere else",
        looks_at: "databases: options.enabledDatabaseCustomization, options.import_mode",
        why: "each login waits for a script and for that database, and passwords go to it in plain text",
        fix: "import users as they log in, then switch the scripts off",
        docs: "https://auth0.com/docs/authenticate/database-connections/custom-db/overview-custom-db-connections",
        judge: |scene, out| {
            every(scene, out, |database, out| {
                if out.read(&database.thing, &database.customized) == Some(Some(&true)) {
                    let imports =
                        if database.import_mode.is(&true) { "and imports users" } else { "and does not import users" };
                    out.at(&database.thing, &database.customized, format!("it uses scripts of its own, {imports}"));
                }
            })
        },
    },
    Check {
        id: "database-domain-connection",
        area: Area::Connections,
        severity: Recommended,
        title: "A connection is open to third parties' applications",
        looks_at: "databases, connections: is_domain_connection",
        why: "every application of a third party may use it",
        fix: "switch it off unless third parties need it",
        docs: "https://auth0.com/docs/authenticate/identity-providers/promote-connections-to-domain-level",
        judge: |scene, out| {
            for connection in both(scene)? {
                out.on(&connection.thing, &connection.is_domain, "is_domain_connection is true");
            }
            Ok(())
        },
    },
    Check {
        id: "database-passkeys",
        area: Area::Connections,
        severity: BestPractice,
        title: "A database takes no passkeys",
        looks_at: "databases: options.authentication_methods.passkey.enabled",
        why: "passwords can be phished, passkeys cannot",
        fix: "enable passkeys",
        docs: "https://auth0.com/docs/authenticate/database-connections/passkeys",
        judge: |scene, out| {
            every(scene, out, |database, out| {
                out.not_on(&database.thing, &database.passkeys, "passkeys are not on");
            })
        },
    },
    Check {
        id: "database-email-verification",
        area: Area::Connections,
        severity: BestPractice,
        title: "Addresses are verified by a link",
        looks_at: "databases: options.attributes.email.verification_method",
        why: "mail scanners follow links, so that an address counts as verified without its owner",
        fix: "verify addresses by a one-time password",
        docs: "https://auth0.com/docs/authenticate/database-connections/flexible-identifiers-and-attributes",
        judge: |scene, out| {
            every(scene, out, |database, out| match out.read(&database.thing, &database.email_verification) {
                Some(Some(method)) if method != "otp" && method != "code" => out.at(
                    &database.thing,
                    &database.email_verification,
                    format!("the verification method is {method}"),
                ),
                Some(None) => out.at(
                    &database.thing,
                    &database.email_verification,
                    "no verification method is set, and the default is a link",
                ),
                _ => {}
            })
        },
    },
];

/// Three of the four sorts of characters, as the policy good has it, or no common password.
const SORTS_MIN: usize = 3;

/// Finds a flexible policy that lets common passwords through; how long they are is another check's.
fn is_strong(database: &Connection, flexible: &Flexible, out: &mut Outcome) {
    let (types, dictionary) = (&flexible.character_types, &flexible.dictionary);
    let count = types.all().count();
    if count >= SORTS_MIN || dictionary.is(&true) {
        return;
    }
    let unknown = types.open().or_else(|| dictionary.unknown());
    match unknown {
        Some(why) => out.unjudged(&database.thing, "options.password_options", why),
        None => out.at(
            &database.thing,
            types,
            format!("options.password_options asks for {count} sorts of characters, and has no dictionary"),
        ),
    }
}

fn every(scene: &Scene<'_>, out: &mut Outcome, judge: impl Fn(&Connection, &mut Outcome)) -> Judged {
    part(&scene.tenant.databases)?.iter().for_each(|database| judge(database, out));
    Ok(())
}

/// Databases with passwords.
fn each(scene: &Scene<'_>, out: &mut Outcome, judge: impl Fn(&Connection, &mut Outcome)) -> Judged {
    every(scene, out, |database, out| {
        if !database.passwords.is(&false) {
            judge(database, out);
        }
    })
}

/// Databases and all others.
pub(super) fn both<'a>(scene: &Scene<'a>) -> Result<impl Iterator<Item = &'a Connection>, NotRun> {
    Ok(part(&scene.tenant.databases)?.iter().chain(part(&scene.tenant.connections)?))
}

/// What sort of connection it is, as far as its strategy tells.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Social,
    Enterprise,
    Other,
}

pub(super) fn sort(connection: &Connection) -> Sort {
    match &connection.strategy.value {
        Known::Is(strategy) if SOCIAL.contains(&strategy.as_str()) => Sort::Social,
        Known::Is(strategy) if is_enterprise(strategy) => Sort::Enterprise,
        _ => Sort::Other,
    }
}
