//! Applications: how they sign, which grants they may use, how they prove who they are.

use super::super::tenant::{Client, Known};
use super::{Area, Check, Judged, NotRun, Outcome, Scene, Severity, part};

const GRANTS: &str = "https://auth0.com/docs/get-started/applications/application-grant-types";
const SETTINGS: &str = "https://auth0.com/docs/get-started/applications/application-settings";
const ROTATION: &str = "https://auth0.com/docs/secure/tokens/refresh-tokens/refresh-token-rotation";

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
    Check { id, area: Area::Tokens, severity, title, looks_at, why, fix, docs, judge }
}

use Severity::{BestPractice, Recommended, Required};

#[rustfmt::skip]
pub const CHECKS: &[Check] = &[
    check("client-alg-hs256", Required, "ID tokens are signed with a shared secret", "clients: jwt_configuration.alg", "whoever can check such a token can also make one", "set the algorithm to RS256 and check tokens with the tenant's public keys", "https://auth0.com/docs/get-started/applications/signing-algorithms", |scene, out| each(scene, out, |client, out| {
        match out.read(&client.thing, &client.alg) {
            Some(Some(alg)) if alg.starts_with("HS") => out.at(&client.thing, &client.alg, format!("jwt_configuration.alg is {alg}")),
            Some(None) => out.at(&client.thing, &client.alg, "jwt_configuration.alg is not set, so that it may be HS256"),
            _ => {}
        }
    })),
    check("client-grant-implicit", Required, "The implicit grant is on", "clients: grant_types", "tokens come in the URL, where histories, logs and scripts see them", "use the authorization code grant with PKCE", GRANTS,
        |scene, out| each(scene, out, |client, out| has_grants(client, out, &["implicit"]))),
    check("client-grant-password", Required, "The password grant is on", "clients: grant_types", "the application sees passwords, and neither single sign-on nor most of attack protection works", "use Universal Login with the authorization code grant", GRANTS,
        |scene, out| each(scene, out, |client, out| has_grants(client, out, &["password", "http://auth0.com/oauth/grant-type/password-realm"]))),
    check("client-grant-surplus", Required, "An application may use grants that its type has no use for", "clients: app_type, grant_types", "each grant that nobody uses is one more way in", "leave the grants that its type needs", GRANTS, |scene, out| each(scene, out, surplus)),
    check("client-oidc-conformant", Recommended, "An application is not OIDC conformant", "clients: oidc_conformant", "it gets the token formats and endpoints of old, which Auth0 withdraws", "switch it on, and test the application", SETTINGS, |scene, out| each(scene, out, |client, out| {
        if out.read(&client.thing, &client.oidc_conformant) == Some(Some(&false)) { out.at(&client.thing, &client.oidc_conformant, "oidc_conformant is false"); }
    })),
    check("client-auth-none", Required, "A confidential application proves nothing", "clients: app_type, token_endpoint_auth_method", "whoever knows its client id can exchange codes and tokens in its name", "let it authenticate with a private key or a secret", "https://auth0.com/docs/get-started/applications/confidential-and-public-applications", |scene, out| each(scene, out, |client, out| {
        let is_confidential = type_of(client, out).is_some_and(|kind| matches!(kind, "regular_web" | "non_interactive"));
        if is_confidential && out.read(&client.thing, &client.auth_method).flatten().is_some_and(|method| method == "none") {
            out.at(&client.thing, &client.auth_method, "token_endpoint_auth_method is none");
        }
    })),
    check("client-private-key-jwt", BestPractice, "An application uses a shared secret", "clients: token_endpoint_auth_method, client_authentication_methods", "a secret lies in two places, travels with every request, and must be rotated by hand", "register a public key and use private_key_jwt", "https://auth0.com/docs/get-started/applications/configure-private-key-jwt", |scene, out| each(scene, out, |client, out| {
        let uses_secret = out.read(&client.thing, &client.auth_method).flatten().is_some_and(|method| method.starts_with("client_secret"));
        if uses_secret && !client.has_private_key_jwt.is(&true) { out.at(&client.thing, &client.auth_method, "it authenticates with its client secret"); }
    })),
    check("client-refresh-rotation", Recommended, "Refresh tokens are not rotated", "clients: grant_types, refresh_token.rotation_type", "a stolen refresh token works until somebody notices", "set rotation to rotating", ROTATION, |scene, out| refreshing(scene, out, |client, out| {
        match out.read(&client.thing, &client.rotation) {
            Some(Some(rotation)) if rotation == "rotating" => {}
            Some(Some(rotation)) => out.at(&client.thing, &client.rotation, format!("refresh_token.rotation_type is {rotation}")),
            Some(None) => out.at(&client.thing, &client.rotation, "refresh_token.rotation_type is not set; tokens do not rotate by default"),
            None => {}
        }
    })),
    check("client-refresh-expiration", Recommended, "Refresh tokens never expire", "clients: grant_types, refresh_token.expiration_type", "a token taken from an old device works for ever", "set expiration to expiring, with a lifetime and an idle lifetime", "https://auth0.com/docs/secure/tokens/refresh-tokens/configure-refresh-token-expiration", |scene, out| refreshing(scene, out, |client, out| {
        match out.read(&client.thing, &client.expiration) {
            Some(Some(expiration)) if expiration == "expiring" => {}
            Some(Some(expiration)) => out.at(&client.thing, &client.expiration, format!("refresh_token.expiration_type is {expiration}")),
            Some(None) => out.at(&client.thing, &client.expiration, "refresh_token.expiration_type is not set; tokens do not expire by default"),
            None => {}
        }
    })),
    check("client-id-token-lifetime", BestPractice, "ID tokens live longer than a day", "clients: jwt_configuration.lifetime_in_seconds", "who takes an ID token for a session keeps users for as long", "set it to ten hours or less, which is the default", SETTINGS, |scene, out| each(scene, out, |client, out| {
        if let Some(Some(seconds)) = out.read(&client.thing, &client.id_token_seconds).filter(|seconds| seconds.is_some_and(|seconds| *seconds > 86_400.0)) {
            out.at(&client.thing, &client.id_token_seconds, format!("jwt_configuration.lifetime_in_seconds is {seconds}"));
        }
    })),
    check("client-cross-origin-auth", Required, "Cross-origin authentication is on", "clients: cross_origin_authentication", "passwords are typed into the application's own page, and third-party cookies that browsers drop are needed", "use Universal Login and switch it off", "https://auth0.com/docs/authenticate/login/cross-origin-authentication", |scene, out| each(scene, out, |client, out| {
        out.on(&client.thing, &client.cross_origin, "cross-origin authentication is on");
    })),
    check("client-third-party", BestPractice, "A third party's application has powerful grants", "clients: is_first_party, grant_types", "somebody else's program could ask for passwords or act without a user", "leave third parties the authorization code grant", "https://auth0.com/docs/get-started/applications/third-party-applications/security-considerations", |scene, out| each(scene, out, |client, out| {
        if out.read(&client.thing, &client.first_party) == Some(Some(&false)) {
            has_grants(client, out, &["client_credentials", "password", "implicit", "http://auth0.com/oauth/grant-type/password-realm"]);
        }
    })),
    check("client-login-uri", BestPractice, "An application has no login URI", "clients: app_type, initiate_login_uri", "users who come from an old link or an invitation cannot be sent back to begin anew", "set the page of the application that begins a login", SETTINGS, |scene, out| each(scene, out, |client, out| {
        if is_interactive(client, out) { out.not_set(&client.thing, &client.login_uri, "initiate_login_uri is not set"); }
    })),
    check("client-logout-url", Recommended, "An application allows no logout URL", "clients: app_type, allowed_logout_urls", "users stay on Auth0's page after a logout, and applications leave logouts out", "list where its users go after a logout", "https://auth0.com/docs/deploy-monitor/pre-deployment-checks/production-check-recommended-fixes", |scene, out| each(scene, out, |client, out| {
        if let Known::Unknown(what) = &client.logout_urls.value { out.unjudged(&client.thing, client.logout_urls.key, what); }
        if is_interactive(client, out) && client.logout_urls.is_empty() { out.at(&client.thing, &client.logout_urls, "allowed_logout_urls is empty"); }
    })),
    check("client-callback-missing", Recommended, "An interactive application has no callback URL", "clients: app_type, callbacks", "nobody can log in to it: it is unfinished or forgotten", "set its callbacks, or remove it", SETTINGS, |scene, out| each(scene, out, |client, out| {
        if let Known::Unknown(what) = &client.callbacks.value { out.unjudged(&client.thing, client.callbacks.key, what); }
        if is_interactive(client, out) && client.callbacks.is_empty() { out.at(&client.thing, &client.callbacks, "callbacks is empty"); }
    })),
    check("client-own-login-page", Recommended, "An application has a Classic login page of its own", "clients: custom_login_page_on", "its login is a page of Classic Universal Login, kept up by nobody but you", "move it to the new Universal Login", "https://auth0.com/docs/deploy-monitor/pre-deployment-checks/production-check-recommended-fixes", |scene, out| {
        let experience = part(&scene.tenant.login_experience)?;
        if experience.is(&"new".to_owned()) { return Ok(()); }
        if let Known::Unknown(what) = &experience.value { return Err(NotRun(format!("prompts: universal_login_experience is {what}"))); }
        each(scene, out, |client, out| out.on(&client.thing, &client.own_login_page, "custom_login_page_on is true, and the login experience is not the new one"))
    }),
    check("client-backchannel-logout", Recommended, "A web application learns of no logout elsewhere", "clients: app_type, oidc_logout.backchannel_logout_urls", "its own session goes on after the user, or an administrator, has ended the one at Auth0", "give it a back-channel logout URL", "https://auth0.com/docs/authenticate/login/logout/back-channel-logout", |scene, out| each(scene, out, |client, out| {
        if let Known::Unknown(what) = &client.backchannel.value { out.unjudged(&client.thing, client.backchannel.key, what); }
        if type_of(client, out) == Some("regular_web") && client.backchannel.is_empty() { out.at(&client.thing, &client.backchannel, "there is no back-channel logout URL"); }
    })),
    check("client-par", BestPractice, "Authorization requests are not pushed", "clients: app_type, require_pushed_authorization_requests", "parameters of a login go through the browser, where they can be read and changed", "require pushed authorization requests where the plan has them", "https://auth0.com/docs/get-started/applications/configure-par", |scene, out| each(scene, out, |client, out| {
        if type_of(client, out) == Some("regular_web") { out.not_on(&client.thing, &client.par, "require_pushed_authorization_requests is not on"); }
    })),
    check("client-jar", BestPractice, "Authorization requests are not signed", "clients: app_type, signed_request_object.required", "nobody can tell that a request comes from the application as it was made", "require signed request objects where the plan has them", "https://auth0.com/docs/get-started/applications/configure-jar", |scene, out| each(scene, out, |client, out| {
        if type_of(client, out) == Some("regular_web") { out.not_on(&client.thing, &client.jar, "signed_request_object.required is not on"); }
    })),
    check("client-sender-constraining", BestPractice, "An application's tokens work for whoever has them", "clients: app_type, require_proof_of_possession", "a stolen token needs nothing else", "require proof of possession (mTLS or DPoP) where the plan has it", "https://auth0.com/docs/get-started/applications/configure-sender-constraining", |scene, out| each(scene, out, |client, out| {
        if type_of(client, out).is_some() { out.not_on(&client.thing, &client.proof_of_possession, "require_proof_of_possession is not on"); }
    })),
];

/// Every application but the one that stands for all of them.
pub(super) fn clients<'a>(scene: &Scene<'a>) -> Result<impl Iterator<Item = &'a Client>, NotRun> {
    Ok(part(&scene.tenant.clients)?.iter().filter(|client| client.thing.name != "All Applications"))
}

fn each(scene: &Scene<'_>, out: &mut Outcome, judge: impl Fn(&Client, &mut Outcome)) -> Judged {
    clients(scene)?.for_each(|client| judge(client, out));
    Ok(())
}

/// Those that may use refresh tokens.
fn refreshing(scene: &Scene<'_>, out: &mut Outcome, judge: impl Fn(&Client, &mut Outcome)) -> Judged {
    each(scene, out, |client, out| {
        if client.grant_types.has("refresh_token") {
            judge(client, out);
        } else if client.grant_types.is_open() {
            out.unjudged(&client.thing, client.grant_types.key, "a placeholder in part");
        }
    })
}

fn type_of<'c>(client: &'c Client, out: &mut Outcome) -> Option<&'c str> {
    out.read(&client.thing, &client.app_type).flatten().map(String::as_str)
}

/// Whether people log in to it.
pub(super) fn is_interactive(client: &Client, out: &mut Outcome) -> bool {
    type_of(client, out).is_some_and(|kind| matches!(kind, "regular_web" | "spa" | "native"))
}

fn has_grants(client: &Client, out: &mut Outcome, wrong: &[&str]) {
    for (index, element) in client.grant_types.known().into_iter().flatten().enumerate() {
        match element {
            Known::Is(grant) if wrong.contains(&grant.as_str()) => {
                out.place(
                    &client.thing,
                    client.thing.place.at("grant_types").item(index),
                    format!("grant_types has {grant}"),
                );
            }
            Known::Unknown(what) => out.unjudged(&client.thing, client.grant_types.key, what),
            _ => {}
        }
    }
    if let Known::Unknown(what) = &client.grant_types.value {
        out.unjudged(&client.thing, client.grant_types.key, what);
    }
}

/// What each type of application needs; what has checks of its own is left to them.
fn surplus(client: &Client, out: &mut Outcome) {
    const WEB: &[&str] = &["authorization_code", "refresh_token", "client_credentials"];
    const NATIVE: &[&str] = &["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"];
    const OF_OTHERS: [&str; 3] = ["implicit", "password", "http://auth0.com/oauth/grant-type/password-realm"];
    let needed = match type_of(client, out) {
        Some("regular_web") => WEB,
        Some("native") => NATIVE,
        Some("non_interactive") => &["client_credentials"],
        Some(_) => &["authorization_code", "refresh_token"],
        None => return,
    };
    let wrong: Vec<&str> =
        client.grant_types.all().filter(|grant| !needed.contains(grant) && !OF_OTHERS.contains(grant)).collect();
    has_grants(client, out, &wrong);
}
