//! Applications: how they sign, which grants they may use, how they prove who they are.

use super::super::tenant::{Client, Known};
use super::{Area, Check, Judged, NOT_THERE, NotRun, Outcome, Scene, Severity, part};

const GRANTS: &str = "https://auth0.com/docs/get-started/applications/application-grant-types";
const SETTINGS: &str = "https://auth0.com/docs/get-started/applications/application-settings";
const ROTATION: &str = "https://auth0.com/docs/secure/tokens/refresh-tokens/refresh-token-rotation";

use Severity::{BestPractice, Recommended, Required};

pub const CHECKS: &[Check] = &[
    Check {
        id: "client-alg-hs256",
        area: Area::Tokens,
        severity: Required,
        title: "ID tokens are signed with a shared secret",
        looks_at: "clients: jwt_configuration.alg",
        why: "whoever can check such a token can also make one",
        fix: "set the algorithm to RS256 and check tokens with the tenant's public keys",
        docs: "https://auth0.com/docs/get-started/applications/signing-algorithms",
        judge: |scene, out| {
            each(scene, out, |client, out| match out.read(&client.thing, &client.alg) {
                Some(Some(alg)) if is_forgeable(alg) => {
                    out.at(&client.thing, &client.alg, format!("jwt_configuration.alg is {alg}"))
                }
                Some(None) => {
                    out.at(&client.thing, &client.alg, "jwt_configuration.alg is not set, so that it may be HS256")
                }
                _ => {}
            })
        },
    },
    Check {
        id: "client-grant-implicit",
        area: Area::Tokens,
        severity: Required,
        title: "The implicit grant is on",
        looks_at: "clients: grant_types",
        why: "tokens come in the URL, where histories, logs and scripts see them",
        fix: "use the authorization code grant with PKCE",
        docs: GRANTS,
        judge: |scene, out| each(scene, out, |client, out| has_grants(client, out, &["implicit"])),
    },
    Check {
        id: "client-grant-password",
        area: Area::Tokens,
        severity: Required,
        title: "The password grant is on",
        looks_at: "clients: grant_types",
        why: "the application sees passwords, and neither single sign-on nor most of attack protection works",
        fix: "use Universal Login with the authorization code grant",
        docs: GRANTS,
        judge: |scene, out| {
            each(scene, out, |client, out| {
                has_grants(client, out, &["password", "http://auth0.com/oauth/grant-type/password-realm"])
            })
        },
    },
    Check {
        id: "client-grant-surplus",
        area: Area::Tokens,
        severity: Required,
        title: "An application may use grants that its type has no use for",
        looks_at: "clients: app_type, grant_types",
        why: "each grant that nobody uses is one more way in",
        fix: "leave the grants that its type needs",
        docs: GRANTS,
        judge: |scene, out| each(scene, out, surplus),
    },
    Check {
        id: "client-oidc-conformant",
        area: Area::Tokens,
        severity: Recommended,
        title: "An application is not OIDC conformant",
        looks_at: "clients: oidc_conformant",
        why: "it gets the token formats and endpoints of old, which Auth0 withdraws",
        fix: "switch it on, and test the application",
        docs: SETTINGS,
        judge: |scene, out| {
            each(scene, out, |client, out| {
                if out.read(&client.thing, &client.oidc_conformant) == Some(Some(&false)) {
                    out.at(&client.thing, &client.oidc_conformant, "oidc_conformant is false");
                }
            })
        },
    },
    Check {
        id: "client-auth-none",
        area: Area::Tokens,
        severity: Required,
        title: "A confidential application proves nothing",
        looks_at: "clients: app_type, token_endpoint_auth_method",
        why: "whoever knows its client id can exchange codes and tokens in its name",
        fix: "let it authenticate with a private key or a secret",
        docs: "https://auth0.com/docs/get-started/applications/confidential-and-public-applications",
        judge: |scene, out| {
            each(scene, out, |client, out| {
                let is_confidential =
                    type_of(client, out).is_some_and(|kind| matches!(kind, "regular_web" | "non_interactive"));
                if is_confidential
                    && out.read(&client.thing, &client.auth_method).flatten().is_some_and(|method| method == "none")
                {
                    out.at(&client.thing, &client.auth_method, "token_endpoint_auth_method is none");
                }
            })
        },
    },
    Check {
        id: "client-private-key-jwt",
        area: Area::Tokens,
        severity: BestPractice,
        title: "An application uses a shared secret",
        looks_at: "clients: token_endpoint_auth_method, client_authentication_methods",
        why: "a secret lies in two places, travels with every request, and must be rotated by hand",
        fix: "register a public key and use private_key_jwt",
        docs: "https://auth0.com/docs/get-started/applications/configure-private-key-jwt",
        judge: |scene, out| {
            each(scene, out, |client, out| {
                let uses_secret = out
                    .read(&client.thing, &client.auth_method)
                    .flatten()
                    .is_some_and(|method| method.starts_with("client_secret"));
                if uses_secret && !client.has_private_key_jwt.is(&true) {
                    out.at(&client.thing, &client.auth_method, "it authenticates with its client secret");
                }
            })
        },
    },
    Check {
        id: "client-refresh-rotation",
        area: Area::Tokens,
        severity: Recommended,
        title: "Refresh tokens are not rotated",
        looks_at: "clients: grant_types, refresh_token.rotation_type",
        why: "a stolen refresh token works until somebody notices",
        fix: "set rotation to rotating",
        docs: ROTATION,
        judge: |scene, out| {
            refreshing(scene, out, |client, out| match out.read(&client.thing, &client.rotation) {
                Some(Some(rotation)) if rotation == "rotating" => {}
                Some(Some(rotation)) => {
                    out.at(&client.thing, &client.rotation, format!("refresh_token.rotation_type is {rotation}"))
                }
                Some(None) => out.at(
                    &client.thing,
                    &client.rotation,
                    "refresh_token.rotation_type is not set; tokens do not rotate by default",
                ),
                None => {}
            })
        },
    },
    Check {
        id: "client-refresh-expiration",
        area: Area::Tokens,
        severity: Recommended,
        title: "Refresh tokens never expire",
        looks_at: "clients: grant_types, refresh_token.expiration_type",
        why: "a token taken from an old device works for ever",
        fix: "set expiration to expiring, with a lifetime and an idle lifetime",
        docs: "https://auth0.com/docs/secure/tokens/refresh-tokens/configure-refresh-token-expiration",
        judge: |scene, out| {
            refreshing(scene, out, |client, out| match out.read(&client.thing, &client.expiration) {
                Some(Some(expiration)) if expiration == "expiring" => {}
                Some(Some(expiration)) => {
                    out.at(&client.thing, &client.expiration, format!("refresh_token.expiration_type is {expiration}"))
                }
                Some(None) => out.at(
                    &client.thing,
                    &client.expiration,
                    "refresh_token.expiration_type is not set; tokens do not expire by default",
                ),
                None => {}
            })
        },
    },
    Check {
        id: "client-refresh-infinite",
        area: Area::Tokens,
        severity: Recommended,
        title: "Refresh tokens that are used live for ever",
        looks_at: "clients: grant_types, refresh_token.infinite_token_lifetime",
        why: "whoever stole one keeps it alive by using it",
        fix: "set refresh_token.token_lifetime, and infinite_token_lifetime to false",
        docs: "https://auth0.com/docs/secure/tokens/refresh-tokens/configure-refresh-token-expiration",
        judge: |scene, out| {
            refreshing(scene, out, |client, out| {
                out.on(&client.thing, &client.lives_forever, "refresh_token.infinite_token_lifetime is true")
            })
        },
    },
    Check {
        id: "client-id-token-lifetime",
        area: Area::Tokens,
        severity: BestPractice,
        title: "ID tokens live longer than a day",
        looks_at: "clients: jwt_configuration.lifetime_in_seconds",
        why: "who takes an ID token for a session keeps users for as long",
        fix: "set it to ten hours or less, which is the default",
        docs: SETTINGS,
        judge: |scene, out| {
            each(scene, out, |client, out| {
                if let Some(Some(seconds)) = out
                    .read(&client.thing, &client.id_token_seconds)
                    .filter(|seconds| seconds.is_some_and(|seconds| *seconds > 86_400.0))
                {
                    out.at(
                        &client.thing,
                        &client.id_token_seconds,
                        format!("jwt_configuration.lifetime_in_seconds is {seconds}"),
                    );
                }
            })
        },
    },
    Check {
        id: "client-cross-origin-auth",
        area: Area::Tokens,
        severity: Required,
        title: "Cross-origin authentication is on",
        looks_at: "clients: cross_origin_authentication",
        why: "passwords are typed into the application's own page, and third-party cookies that browsers drop are needed",
        fix: "use Universal Login and switch it off",
        docs: "https://auth0.com/docs/authenticate/login/cross-origin-authentication",
        judge: |scene, out| {
            each(scene, out, |client, out| {
                out.on(&client.thing, &client.cross_origin, "cross-origin authentication is on");
            })
        },
    },
    Check {
        id: "client-third-party",
        area: Area::Tokens,
        severity: BestPractice,
        title: "A third party's application has powerful grants",
        looks_at: "clients: is_first_party, grant_types",
        why: "somebody else's program could ask for passwords or act without a user",
        fix: "leave third parties the authorization code grant",
        docs: "https://auth0.com/docs/get-started/applications/third-party-applications/security-considerations",
        judge: |scene, out| {
            each(scene, out, |client, out| {
                if out.read(&client.thing, &client.first_party) == Some(Some(&false)) {
                    has_grants(
                        client,
                        out,
                        &[
                            "client_credentials",
                            "password",
                            "implicit",
                            "http://auth0.com/oauth/grant-type/password-realm",
                        ],
                    );
                }
            })
        },
    },
    Check {
        id: "client-login-uri",
        area: Area::Tokens,
        severity: BestPractice,
        title: "An application has no login URI",
        looks_at: "clients: app_type, initiate_login_uri",
        why: "users who come from an old link or an invitation cannot be sent back to begin anew",
        fix: "set the page of the application that begins a login",
        docs: SETTINGS,
        judge: |scene, out| {
            each(scene, out, |client, out| {
                if is_interactive(client, out) {
                    out.not_set(&client.thing, &client.login_uri, "initiate_login_uri is not set");
                }
            })
        },
    },
    Check {
        id: "client-logout-url",
        area: Area::Tokens,
        severity: Recommended,
        title: "An application allows no logout URL",
        looks_at: "clients: app_type, allowed_logout_urls",
        why: "users stay on Auth0's page after a logout, and applications leave logouts out",
        fix: "list where its users go after a logout",
        docs: "https://auth0.com/docs/deploy-monitor/pre-deployment-checks/production-check-recommended-fixes",
        judge: |scene, out| {
            each(scene, out, |client, out| {
                if let Known::Unknown(what) = &client.logout_urls.value {
                    out.unjudged(&client.thing, client.logout_urls.key, what);
                }
                if is_interactive(client, out) && client.logout_urls.is_empty() {
                    out.at(&client.thing, &client.logout_urls, "allowed_logout_urls is empty");
                }
            })
        },
    },
    Check {
        id: "client-callback-missing",
        area: Area::Tokens,
        severity: Recommended,
        title: "An interactive application has no callback URL",
        looks_at: "clients: app_type, callbacks",
        why: "nobody can log in to it: it is unfinished or forgotten",
        fix: "set its callbacks, or remove it",
        docs: SETTINGS,
        judge: |scene, out| {
            each(scene, out, |client, out| {
                if let Known::Unknown(what) = &client.callbacks.value {
                    out.unjudged(&client.thing, client.callbacks.key, what);
                }
                if is_interactive(client, out) && client.callbacks.is_empty() {
                    out.at(&client.thing, &client.callbacks, "callbacks is empty");
                }
            })
        },
    },
    Check {
        id: "client-own-login-page",
        area: Area::Tokens,
        severity: Recommended,
        title: "An application has a Classic login page of its own",
        looks_at: "clients: custom_login_page_on",
        why: "its login is a page of Classic Universal Login, kept up by nobody but you",
        fix: "move it to the new Universal Login",
        docs: "https://auth0.com/docs/deploy-monitor/pre-deployment-checks/production-check-recommended-fixes",
        judge: |scene, out| {
            let experience = part(&scene.tenant.login_experience)?;
            if experience.is(&"new".to_owned()) {
                return Ok(());
            }
            match &experience.value {
                Known::Is(_) => {}
                Known::Unknown(why) => {
                    return Err(why.map(|why| format!("prompts: universal_login_experience is {why}")));
                }
                Known::Absent => return Err("prompts: universal_login_experience is not there".into()),
            }
            each(scene, out, |client, out| {
                out.on(
                    &client.thing,
                    &client.own_login_page,
                    "custom_login_page_on is true, and the login experience is not the new one",
                )
            })
        },
    },
    Check {
        id: "client-backchannel-logout",
        area: Area::Tokens,
        severity: Recommended,
        title: "A web application learns of no logout elsewhere",
        looks_at: "clients: app_type, oidc_logout.backchannel_logout_urls",
        why: "its own session goes on after the user, or an administrator, has ended the one at Auth0",
        fix: "give it a back-channel logout URL",
        docs: "https://auth0.com/docs/authenticate/login/logout/back-channel-logout",
        judge: |scene, out| {
            each(scene, out, |client, out| {
                if let Known::Unknown(what) = &client.backchannel.value {
                    out.unjudged(&client.thing, client.backchannel.key, what);
                }
                if type_of(client, out) == Some("regular_web") && client.backchannel.is_empty() {
                    out.at(&client.thing, &client.backchannel, "there is no back-channel logout URL");
                }
            })
        },
    },
    Check {
        id: "client-par",
        area: Area::Tokens,
        severity: BestPractice,
        title: "Authorization requests are not pushed",
        looks_at: "clients: app_type, require_pushed_authorization_requests",
        why: "parameters of a login go through the browser, where they can be read and changed",
        fix: "require pushed authorization requests where the plan has them",
        docs: "https://auth0.com/docs/get-started/applications/configure-par",
        judge: |scene, out| {
            each(scene, out, |client, out| {
                if type_of(client, out) == Some("regular_web") {
                    out.not_on(&client.thing, &client.par, "require_pushed_authorization_requests is not on");
                }
            })
        },
    },
    Check {
        id: "client-jar",
        area: Area::Tokens,
        severity: BestPractice,
        title: "Authorization requests are not signed",
        looks_at: "clients: app_type, signed_request_object.required",
        why: "nobody can tell that a request comes from the application as it was made",
        fix: "require signed request objects where the plan has them",
        docs: "https://auth0.com/docs/get-started/applications/configure-jar",
        judge: |scene, out| {
            each(scene, out, |client, out| {
                if type_of(client, out) == Some("regular_web") {
                    out.not_on(&client.thing, &client.jar, "signed_request_object.required is not on");
                }
            })
        },
    },
    Check {
        id: "client-sender-constraining",
        area: Area::Tokens,
        severity: BestPractice,
        title: "An application's tokens work for whoever has them",
        looks_at: "clients: app_type, require_proof_of_possession",
        why: "a stolen token needs nothing else",
        fix: "require proof of possession (mTLS or DPoP) where the plan has it",
        docs: "https://auth0.com/docs/get-started/applications/configure-sender-constraining",
        judge: |scene, out| {
            each(scene, out, |client, out| {
                if type_of(client, out).is_some() {
                    out.not_on(&client.thing, &client.proof_of_possession, "require_proof_of_possession is not on");
                }
            })
        },
    },
];

/// Whether whoever can check a token signed so can make one, or anybody can.
pub(super) fn is_forgeable(alg: &str) -> bool {
    alg.to_ascii_uppercase().starts_with("HS") || alg.eq_ignore_ascii_case("none")
}

/// Every application but the one that stands for all of them.
pub(super) fn clients<'a>(scene: &Scene<'a>) -> Result<impl Iterator<Item = &'a Client>, NotRun> {
    Ok(part(&scene.tenant.clients)?.iter().filter(|client| !client.global.is(&true)))
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
        } else if let Some(why) = client.grant_types.open() {
            out.unjudged(&client.thing, client.grant_types.key, why);
        } else if client.grant_types.value == Known::Absent {
            out.unjudged(&client.thing, client.grant_types.key, NOT_THERE);
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
    match &client.grant_types.value {
        Known::Unknown(what) => out.unjudged(&client.thing, client.grant_types.key, what),
        // Auth0 has defaults for it, by how the application was made.
        Known::Absent => out.unjudged(&client.thing, client.grant_types.key, NOT_THERE),
        Known::Is(_) => {}
    }
}

/// What each type of application needs; what has checks of its own is left to them.
fn surplus(client: &Client, out: &mut Outcome) {
    const WEB: &[&str] = &["authorization_code", "refresh_token", "client_credentials"];
    const NATIVE: &[&str] = &[
        "authorization_code",
        "refresh_token",
        "urn:ietf:params:oauth:grant-type:device_code",
        // Passkeys, and logins with Apple's and Google's own dialogs.
        "urn:okta:params:oauth:grant-type:webauthn",
        "urn:ietf:params:oauth:grant-type:token-exchange",
    ];
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
