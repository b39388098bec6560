//! Settings of the tenant as a whole.

use super::super::tenant::{Known, Settings};
use super::{Area, Check, Judged, NOT_THERE, Outcome, Scene, Severity, part};

const SETTINGS: &str = "https://auth0.com/docs/get-started/tenant-settings";
const SESSIONS: &str = "https://auth0.com/docs/manage-users/sessions/configure-session-lifetime-settings";
const PRODUCTION: &str = "https://auth0.com/docs/deploy-monitor/pre-deployment-checks/production-check-required-fixes";
const RECOMMENDED: &str =
    "https://auth0.com/docs/deploy-monitor/pre-deployment-checks/production-check-recommended-fixes";

/// Node.js versions before this are no longer kept up.
pub(super) const NODE_MIN: u32 = 22;

use Severity::{BestPractice, Recommended, Required};

pub const CHECKS: &[Check] = &[
    Check {
        id: "tenant-support-email",
        area: Area::Tenant,
        severity: Required,
        title: "No support e-mail address",
        looks_at: "tenant: support_email",
        why: "Auth0's error pages and e-mails tell users whom to ask",
        fix: "set the support e-mail address in the tenant's general settings",
        docs: SETTINGS,
        judge: |scene, out| {
            let at = settings(scene)?;
            out.not_set(&at.thing, &at.support_email, "support_email is not set");
            Ok(())
        },
    },
    Check {
        id: "tenant-support-url",
        area: Area::Tenant,
        severity: Required,
        title: "No support URL",
        looks_at: "tenant: support_url",
        why: "Auth0's error pages lead users to it",
        fix: "set the support URL in the tenant's general settings",
        docs: SETTINGS,
        judge: |scene, out| {
            let at = settings(scene)?;
            out.not_set(&at.thing, &at.support_url, "support_url is not set");
            Ok(())
        },
    },
    Check {
        id: "tenant-login-uri",
        area: Area::Tenant,
        severity: Required,
        title: "No tenant login URI",
        looks_at: "tenant: default_redirection_uri",
        why: "whoever comes back to an old login page or opens an e-mail's link late ends at an error instead of a login",
        fix: "set the tenant login URI to a page that begins a login",
        docs: PRODUCTION,
        judge: |scene, out| {
            let at = settings(scene)?;
            out.not_set(&at.thing, &at.login_uri, "default_redirection_uri is not set");
            Ok(())
        },
    },
    Check {
        id: "tenant-logout-urls",
        area: Area::Tenant,
        severity: Recommended,
        title: "The tenant allows no logout URL",
        looks_at: "tenant: allowed_logout_urls",
        why: "a logout without a client id can lead users nowhere",
        fix: "list where users may go after a logout",
        docs: RECOMMENDED,
        judge: |scene, out| {
            let at = settings(scene)?;
            if at.logout_urls.is_empty() {
                out.at(&at.thing, &at.logout_urls, "allowed_logout_urls is empty");
            }
            if let Known::Unknown(what) = &at.logout_urls.value {
                out.unjudged(&at.thing, at.logout_urls.key, what);
            }
            Ok(())
        },
    },
    Check {
        id: "tenant-node-version",
        area: Area::Tenant,
        severity: Required,
        title: "Scripts run on an old Node.js",
        looks_at: "tenant: sandbox_version",
        why: "a version that is no longer kept up gets no fixes, and Auth0 withdraws it",
        fix: "move the tenant to the newest Node.js runtime",
        docs: PRODUCTION,
        judge: node_version,
    },
    Check {
        id: "tenant-idtoken-management-api",
        area: Area::Tenant,
        severity: Required,
        title: "ID tokens are taken by the Management API",
        looks_at: "tenant: flags.enable_idtoken_api2",
        why: "an ID token that leaks from any application becomes a key to user data",
        fix: "switch the flag off and use access tokens",
        docs: PRODUCTION,
        judge: |scene, out| {
            let at = settings(scene)?;
            out.on(&at.thing, &at.idtoken_api2, "flags.enable_idtoken_api2 is true");
            Ok(())
        },
    },
    Check {
        id: "tenant-legacy-ro-grant",
        area: Area::Tenant,
        severity: Required,
        title: "The legacy resource owner grant is on",
        looks_at: "tenant: flags.allow_legacy_ro_grant_types",
        why: "passwords go through applications, past MFA and attack protection",
        fix: "move its callers to Universal Login, then switch the flag off",
        docs: PRODUCTION,
        judge: |scene, out| {
            let at = settings(scene)?;
            out.on(&at.thing, &at.legacy_ro_grant, "flags.allow_legacy_ro_grant_types is true");
            Ok(())
        },
    },
    Check {
        id: "tenant-legacy-tokeninfo",
        area: Area::Tenant,
        severity: Required,
        title: "The legacy tokeninfo endpoint is on",
        looks_at: "tenant: flags.allow_legacy_tokeninfo_endpoint",
        why: "it is withdrawn, and hands profiles to whoever has an ID token",
        fix: "read the ID token itself or call /userinfo, then switch the flag off",
        docs: PRODUCTION,
        judge: |scene, out| {
            let at = settings(scene)?;
            out.on(&at.thing, &at.legacy_tokeninfo, "flags.allow_legacy_tokeninfo_endpoint is true");
            Ok(())
        },
    },
    Check {
        id: "tenant-legacy-delegation",
        area: Area::Tenant,
        severity: Required,
        title: "The legacy delegation endpoint is on",
        looks_at: "tenant: flags.allow_legacy_delegation_grant_types",
        why: "it is withdrawn, and exchanges ID tokens for tokens of others",
        fix: "use token exchange or refresh tokens, then switch the flag off",
        docs: PRODUCTION,
        judge: |scene, out| {
            let at = settings(scene)?;
            out.on(&at.thing, &at.legacy_delegation, "flags.allow_legacy_delegation_grant_types is true");
            Ok(())
        },
    },
    Check {
        id: "tenant-legacy-profile",
        area: Area::Tenant,
        severity: Required,
        title: "Legacy user profiles are on",
        looks_at: "tenant: flags.enable_legacy_profile",
        why: "applications get whole profiles whatever scopes they asked for",
        fix: "ask for the scopes an application needs, then switch the flag off",
        docs: PRODUCTION,
        judge: |scene, out| {
            let at = settings(scene)?;
            out.on(&at.thing, &at.legacy_profile, "flags.enable_legacy_profile is true");
            Ok(())
        },
    },
    Check {
        id: "tenant-other-legacy-grants",
        area: Area::Tenant,
        severity: Required,
        title: "Other legacy grants are on",
        looks_at: "tenant: flags.allow_other_legacy_grant_types, as the tenants' settings have it; Auth0 does not document it",
        why: "endpoints such as /oauth/access_token take provider tokens without the checks of today",
        fix: "move its callers to standard grants, then switch it off",
        docs: PRODUCTION,
        judge: |scene, out| {
            let at = settings(scene)?;
            out.on(&at.thing, &at.other_legacy_grants, "flags.allow_other_legacy_grant_types is true");
            Ok(())
        },
    },
    Check {
        id: "tenant-dynamic-registration",
        area: Area::Tenant,
        severity: Recommended,
        title: "Anybody may register applications",
        looks_at: "tenant: flags.enable_dynamic_client_registration",
        why: "every stranger can make a client of this tenant without a login",
        fix: "switch dynamic client registration off unless partners need it",
        docs: "https://auth0.com/docs/get-started/applications/dynamic-client-registration",
        judge: |scene, out| {
            let at = settings(scene)?;
            out.on(&at.thing, &at.dynamic_registration, "flags.enable_dynamic_client_registration is true");
            Ok(())
        },
    },
    Check {
        id: "tenant-user-exists-error",
        area: Area::Tenant,
        severity: Recommended,
        title: "Signup tells who has an account",
        looks_at: "tenant: flags.enable_public_signup_user_exists_error",
        why: "whoever has a list of addresses learns which of them are users",
        fix: "switch it off, so that signup answers the same either way",
        docs: SETTINGS,
        judge: |scene, out| {
            let at = settings(scene)?;
            out.on(&at.thing, &at.user_exists_error, "flags.enable_public_signup_user_exists_error is true");
            Ok(())
        },
    },
    Check {
        id: "tenant-clickjacking",
        area: Area::Tenant,
        severity: Required,
        title: "Login pages may be framed by others",
        looks_at: "tenant: flags.disable_clickjack_protection_headers",
        why: "a page that lays itself over the login takes what users type and click",
        fix: "switch the protection headers on again",
        docs: SETTINGS,
        judge: |scene, out| {
            let at = settings(scene)?;
            out.on(&at.thing, &at.no_clickjack_protection, "flags.disable_clickjack_protection_headers is true");
            Ok(())
        },
    },
    Check {
        id: "tenant-client-connections",
        area: Area::Tenant,
        severity: BestPractice,
        title: "New applications get every connection",
        looks_at: "tenant: flags.enable_client_connections",
        why: "an application accepts logins nobody meant it to",
        fix: "switch it off, and enable connections where they are wanted",
        docs: SETTINGS,
        judge: |scene, out| {
            let at = settings(scene)?;
            match out.read(&at.thing, &at.client_connections) {
                Some(Some(true)) => {
                    out.at(&at.thing, &at.client_connections, "flags.enable_client_connections is true");
                }
                Some(None) => {
                    let evidence = "flags.enable_client_connections is not set, and its default is true";
                    out.at(&at.thing, &at.client_connections, evidence);
                }
                _ => {}
            }
            Ok(())
        },
    },
    Check {
        id: "tenant-default-audience",
        area: Area::Tenant,
        severity: BestPractice,
        title: "Every login gets a token for one API",
        looks_at: "tenant: default_audience",
        why: "applications that need no API get its tokens all the same",
        fix: "name the audience where it is needed, and leave the default empty",
        docs: SETTINGS,
        judge: |scene, out| {
            let at = settings(scene)?;
            if out.read(&at.thing, &at.default_audience).flatten().is_some() {
                out.at(&at.thing, &at.default_audience, "default_audience is set");
            }
            Ok(())
        },
    },
    Check {
        id: "tenant-default-directory",
        area: Area::Tenant,
        severity: BestPractice,
        title: "Password grants go to a default directory",
        looks_at: "tenant: default_directory",
        why: "a password grant without a realm reaches a database nobody named",
        fix: "name the realm in requests, and leave the default empty",
        docs: SETTINGS,
        judge: |scene, out| {
            let at = settings(scene)?;
            if out.read(&at.thing, &at.default_directory).flatten().is_some() {
                out.at(&at.thing, &at.default_directory, "default_directory is set");
            }
            Ok(())
        },
    },
    Check {
        id: "tenant-session-lifetime",
        area: Area::Tenant,
        severity: BestPractice,
        title: "Sessions live longer than Auth0's defaults",
        looks_at: "tenant: session_lifetime, idle_session_lifetime (hours), and those of ephemeral sessions",
        why: "a stolen session cookie works for as long",
        fix: "keep sessions to 168 hours, and to 72 hours without use",
        docs: SESSIONS,
        judge: |scene, out| {
            let at = settings(scene)?;
            for (field, usual) in [
                (&at.session_hours, 168.0),
                (&at.idle_session_hours, 72.0),
                (&at.ephemeral_session_hours, 168.0),
                (&at.idle_ephemeral_session_hours, 72.0),
            ] {
                if let Some(Some(hours)) =
                    out.read(&at.thing, field).filter(|hours| hours.is_some_and(|hours| *hours > usual))
                {
                    let hours = (hours * 100.0).round() / 100.0;
                    out.at(&at.thing, field, format!("{} is {hours} hours", field.key));
                }
            }
            Ok(())
        },
    },
    Check {
        id: "tenant-session-cookie",
        area: Area::Tenant,
        severity: BestPractice,
        title: "Sessions outlive the browser",
        looks_at: "tenant: session_cookie.mode",
        why: "on a shared computer the next person is logged in",
        fix: "set it to non-persistent where users share computers",
        docs: SESSIONS,
        judge: |scene, out| {
            let at = settings(scene)?;
            if out.read(&at.thing, &at.cookie_mode).is_some_and(|mode| mode.is_none_or(|mode| mode == "persistent")) {
                out.at(&at.thing, &at.cookie_mode, "session_cookie.mode is persistent, which is the default");
            }
            Ok(())
        },
    },
    Check {
        id: "tenant-error-page",
        area: Area::Tenant,
        severity: Recommended,
        title: "No error page of one's own",
        looks_at: "tenant: error_page, pages: error_page",
        why: "users who meet an error see Auth0's page, without a way back",
        fix: "set a page or a URL for errors",
        docs: RECOMMENDED,
        judge: |scene, out| {
            if part(&scene.tenant.error_page)?.is_none() {
                let at = settings(scene)?;
                out.thing(&at.thing, "neither error_page nor a page of that name is set");
            }
            Ok(())
        },
    },
    Check {
        id: "tenant-classic-login",
        area: Area::Tenant,
        severity: Recommended,
        title: "Logins use Classic Universal Login",
        looks_at: "prompts: universal_login_experience",
        why: "passkeys, organizations and bot detection come to the new one only",
        fix: "move to the new Universal Login",
        docs: RECOMMENDED,
        judge: |scene, out| {
            let at = settings(scene)?;
            let experience = part(&scene.tenant.login_experience)?;
            match out.read(&at.thing, experience) {
                Some(Some(given)) if given == "classic" => {
                    out.thing(&at.thing, "universal_login_experience is classic");
                }
                Some(None) => out.unjudged(&at.thing, experience.key, NOT_THERE),
                _ => {}
            }
            Ok(())
        },
    },
];

fn settings<'a>(scene: &Scene<'a>) -> Result<&'a Settings, super::NotRun> {
    part(&scene.tenant.settings)
}

fn node_version(scene: &Scene<'_>, out: &mut Outcome) -> Judged {
    let at = settings(scene)?;
    match out.read(&at.thing, &at.sandbox_version) {
        None => {}
        Some(None) => {
            out.unjudged(&at.thing, at.sandbox_version.key, "not in the export (auth0-deploy-cli leaves it out)")
        }
        Some(Some(version)) => match major(version) {
            Some(major) if major < NODE_MIN => {
                out.at(&at.thing, &at.sandbox_version, format!("sandbox_version is {version}, older than {NODE_MIN}"));
            }
            Some(_) => {}
            None => out.unjudged(&at.thing, at.sandbox_version.key, "no version of Node.js"),
        },
    }
    Ok(())
}

/// The major version of `22`, `node18` or `node18-actions`.
pub(super) fn major(version: &str) -> Option<u32> {
    let digits = version.trim_start_matches(|c: char| !c.is_ascii_digit());
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
