//! Settings of the tenant as a whole.

use super::super::tenant::{Known, Settings};
use super::{Area, Check, Judged, Outcome, Scene, Severity, part};

const SETTINGS: &str = "https://auth0.com/docs/get-started/tenant-settings";
const SESSIONS: &str = "https://auth0.com/docs/manage-users/sessions/configure-session-lifetime-settings";
const PRODUCTION: &str = "https://auth0.com/docs/deploy-monitor/pre-deployment-checks/production-check-required-fixes";
const RECOMMENDED: &str =
    "https://auth0.com/docs/deploy-monitor/pre-deployment-checks/production-check-recommended-fixes";

/// Node.js versions before this are no longer kept up.
pub(super) const NODE_MIN: u32 = 22;

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
    Check { id, area: Area::Tenant, severity, title, looks_at, why, fix, docs, judge }
}

use Severity::{BestPractice, Recommended, Required};

#[rustfmt::skip]
pub const CHECKS: &[Check] = &[
    check("tenant-support-email", Required, "No support e-mail address", "tenant: support_email", "Auth0's error pages and e-mails tell users whom to ask", "set the support e-mail address in the tenant's general settings", SETTINGS,
        |scene, out| { let at = settings(scene)?; out.not_set(&at.thing, &at.support_email, "support_email is not set"); Ok(()) }),
    check("tenant-support-url", Required, "No support URL", "tenant: support_url", "Auth0's error pages lead users to it", "set the support URL in the tenant's general settings", SETTINGS,
        |scene, out| { let at = settings(scene)?; out.not_set(&at.thing, &at.support_url, "support_url is not set"); Ok(()) }),
    check("tenant-login-uri", Required, "No tenant login URI", "tenant: default_redirection_uri", "whoever comes back to an old login page or opens an e-mail's link late ends at an error instead of a login", "set the tenant login URI to a page that begins a login", PRODUCTION,
        |scene, out| { let at = settings(scene)?; out.not_set(&at.thing, &at.login_uri, "default_redirection_uri is not set"); Ok(()) }),
    check("tenant-logout-urls", Recommended, "The tenant allows no logout URL", "tenant: allowed_logout_urls", "a logout without a client id can lead users nowhere", "list where users may go after a logout", RECOMMENDED, |scene, out| {
        let at = settings(scene)?;
        if at.logout_urls.is_empty() { out.at(&at.thing, &at.logout_urls, "allowed_logout_urls is empty"); }
        if let Known::Unknown(what) = &at.logout_urls.value { out.unjudged(&at.thing, at.logout_urls.key, what); }
        Ok(())
    }),
    check("tenant-node-version", Required, "Scripts run on an old Node.js", "tenant: sandbox_version", "a version that is no longer kept up gets no fixes, and Auth0 withdraws it", "move the tenant to the newest Node.js runtime", PRODUCTION, node_version),
    check("tenant-idtoken-management-api", Required, "ID tokens are taken by the Management API", "tenant: flags.enable_idtoken_api2", "an ID token that leaks from any application becomes a key to user data", "switch the flag off and use access tokens", PRODUCTION,
        |scene, out| { let at = settings(scene)?; out.on(&at.thing, &at.idtoken_api2, "flags.enable_idtoken_api2 is true"); Ok(()) }),
    check("tenant-legacy-ro-grant", Required, "The legacy resource owner grant is on", "tenant: flags.allow_legacy_ro_grant_types", "passwords go through applications, past MFA and attack protection", "move its callers to Universal Login, then switch the flag off", PRODUCTION,
        |scene, out| { let at = settings(scene)?; out.on(&at.thing, &at.legacy_ro_grant, "flags.allow_legacy_ro_grant_types is true"); Ok(()) }),
    check("tenant-legacy-tokeninfo", Required, "The legacy tokeninfo endpoint is on", "tenant: flags.allow_legacy_tokeninfo_endpoint", "it is withdrawn, and hands profiles to whoever has an ID token", "read the ID token itself or call /userinfo, then switch the flag off", PRODUCTION,
        |scene, out| { let at = settings(scene)?; out.on(&at.thing, &at.legacy_tokeninfo, "flags.allow_legacy_tokeninfo_endpoint is true"); Ok(()) }),
    check("tenant-legacy-delegation", Required, "The legacy delegation endpoint is on", "tenant: flags.allow_legacy_delegation_grant_types", "it is withdrawn, and exchanges ID tokens for tokens of others", "use token exchange or refresh tokens, then switch the flag off", PRODUCTION,
        |scene, out| { let at = settings(scene)?; out.on(&at.thing, &at.legacy_delegation, "flags.allow_legacy_delegation_grant_types is true"); Ok(()) }),
    check("tenant-legacy-profile", Required, "Legacy user profiles are on", "tenant: flags.enable_legacy_profile", "applications get whole profiles whatever scopes they asked for", "ask for the scopes an application needs, then switch the flag off", PRODUCTION,
        |scene, out| { let at = settings(scene)?; out.on(&at.thing, &at.legacy_profile, "flags.enable_legacy_profile is true"); Ok(()) }),
    check("tenant-other-legacy-grants", Required, "Other legacy grants are on", "tenant: flags.allow_other_legacy_grant_types, as the tenants' settings have it; Auth0 does not document it", "endpoints such as /oauth/access_token take provider tokens without the checks of today", "move its callers to standard grants, then switch it off", PRODUCTION,
        |scene, out| { let at = settings(scene)?; out.on(&at.thing, &at.other_legacy_grants, "flags.allow_other_legacy_grant_types is true"); Ok(()) }),
    check("tenant-dynamic-registration", Recommended, "Anybody may register applications", "tenant: flags.enable_dynamic_client_registration", "every stranger can make a client of this tenant without a login", "switch dynamic client registration off unless partners need it", "https://auth0.com/docs/get-started/applications/dynamic-client-registration",
        |scene, out| { let at = settings(scene)?; out.on(&at.thing, &at.dynamic_registration, "flags.enable_dynamic_client_registration is true"); Ok(()) }),
    check("tenant-user-exists-error", Recommended, "Signup tells who has an account", "tenant: flags.enable_public_signup_user_exists_error", "whoever has a list of addresses learns which of them are users", "switch it off, so that signup answers the same either way", SETTINGS,
        |scene, out| { let at = settings(scene)?; out.on(&at.thing, &at.user_exists_error, "flags.enable_public_signup_user_exists_error is true"); Ok(()) }),
    check("tenant-clickjacking", Required, "Login pages may be framed by others", "tenant: flags.disable_clickjack_protection_headers", "a page that lays itself over the login takes what users type and click", "switch the protection headers on again", SETTINGS,
        |scene, out| { let at = settings(scene)?; out.on(&at.thing, &at.no_clickjack_protection, "flags.disable_clickjack_protection_headers is true"); Ok(()) }),
    check("tenant-client-connections", BestPractice, "New applications get every connection", "tenant: flags.enable_client_connections", "an application accepts logins nobody meant it to", "switch it off, and enable connections where they are wanted", SETTINGS,
        |scene, out| { let at = settings(scene)?; out.on(&at.thing, &at.client_connections, "flags.enable_client_connections is true"); Ok(()) }),
    check("tenant-default-audience", BestPractice, "Every login gets a token for one API", "tenant: default_audience", "applications that need no API get its tokens all the same", "name the audience where it is needed, and leave the default empty", SETTINGS, |scene, out| {
        let at = settings(scene)?;
        if out.read(&at.thing, &at.default_audience).flatten().is_some() { out.at(&at.thing, &at.default_audience, "default_audience is set"); }
        Ok(())
    }),
    check("tenant-default-directory", BestPractice, "Password grants go to a default directory", "tenant: default_directory", "a password grant without a realm reaches a database nobody named", "name the realm in requests, and leave the default empty", SETTINGS, |scene, out| {
        let at = settings(scene)?;
        if out.read(&at.thing, &at.default_directory).flatten().is_some() { out.at(&at.thing, &at.default_directory, "default_directory is set"); }
        Ok(())
    }),
    check("tenant-session-lifetime", BestPractice, "Sessions live longer than Auth0's defaults", "tenant: session_lifetime, idle_session_lifetime (hours)", "a stolen session cookie works for as long", "keep sessions to 168 hours, and to 72 hours without use", SESSIONS, |scene, out| {
        let at = settings(scene)?;
        for (field, usual) in [(&at.session_hours, 168.0), (&at.idle_session_hours, 72.0)] {
            if let Some(Some(hours)) = out.read(&at.thing, field).filter(|hours| hours.is_some_and(|hours| *hours > usual)) {
                out.at(&at.thing, field, format!("{} is {hours} hours", field.key));
            }
        }
        Ok(())
    }),
    check("tenant-session-cookie", BestPractice, "Sessions outlive the browser", "tenant: session_cookie.mode", "on a shared computer the next person is logged in", "set it to non-persistent where users share computers", SESSIONS, |scene, out| {
        let at = settings(scene)?;
        if out.read(&at.thing, &at.cookie_mode).is_some_and(|mode| mode.is_none_or(|mode| mode == "persistent")) {
            out.at(&at.thing, &at.cookie_mode, "session_cookie.mode is persistent, which is the default");
        }
        Ok(())
    }),
    check("tenant-error-page", Recommended, "No error page of one's own", "tenant: error_page, pages: error_page", "users who meet an error see Auth0's page, without a way back", "set a page or a URL for errors", RECOMMENDED, |scene, out| {
        if part(&scene.tenant.error_page)?.is_none() {
            let at = settings(scene)?;
            out.thing(&at.thing, "neither error_page nor a page of that name is set");
        }
        Ok(())
    }),
    check("tenant-classic-login", Recommended, "Logins use Classic Universal Login", "prompts: universal_login_experience; clients: custom_login_page_on", "passkeys, organizations and bot detection come to the new one only", "move to the new Universal Login", RECOMMENDED, |scene, out| {
        let at = settings(scene)?;
        let experience = part(&scene.tenant.login_experience)?;
        if out.read(&at.thing, experience).flatten().is_some_and(|experience| experience == "classic") {
            out.thing(&at.thing, "universal_login_experience is classic");
        }
        Ok(())
    }),
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
