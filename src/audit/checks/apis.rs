//! APIs: how their tokens are signed, how long they live, and who may ask for them.

use super::super::tenant::Api;
use super::{Area, Check, Judged, Outcome, Scene, Severity, part};

const SETTINGS: &str = "https://auth0.com/docs/get-started/apis/api-settings";
const POLICIES: &str = "https://auth0.com/docs/get-started/apis/api-access-policies-for-applications";

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
    check("api-alg-hs256", Required, "An API's tokens are signed with a shared secret", "resourceServers: signing_alg", "every service that checks such a token can also make one", "set the algorithm to RS256 and check tokens with the tenant's public keys", "https://auth0.com/docs/get-started/applications/signing-algorithms", |scene, out| each(scene, out, |api, out| {
        match out.read(&api.thing, &api.alg) {
            Some(Some(alg)) if alg.starts_with("HS") => out.at(&api.thing, &api.alg, format!("signing_alg is {alg}")),
            Some(None) => out.at(&api.thing, &api.alg, "signing_alg is not set, so that it may be HS256"),
            _ => {}
        }
    })),
    check("api-token-lifetime", Recommended, "An API's tokens live longer than a day", "resourceServers: token_lifetime (seconds)", "a token cannot be taken back: whoever has stolen it keeps it for as long", "set it to a day or less", "https://auth0.com/docs/secure/tokens/access-tokens/update-access-token-lifetime", |scene, out| each(scene, out, |api, out| {
        if let Some(Some(seconds)) = out.read(&api.thing, &api.token_seconds).filter(|seconds| seconds.is_some_and(|seconds| *seconds > 86_400.0)) {
            out.at(&api.thing, &api.token_seconds, format!("token_lifetime is {seconds} s, {:.1} days", seconds / 86_400.0));
        }
    })),
    check("api-user-policy", Recommended, "Every application may ask for an API's tokens for its users", "resourceServers: subject_type_authorization.user.policy", "also one that has nothing to do with the API", "require a client grant", POLICIES, |scene, out| each(scene, out, |api, out| {
        if out.read(&api.thing, &api.user_policy).flatten().is_some_and(|policy| policy == "allow_all") {
            out.at(&api.thing, &api.user_policy, "the user policy is allow_all");
        }
    })),
    check("api-management-user-access", Required, "Users' tokens reach Auth0's own APIs", "resourceServers (system): subject_type_authorization.user.policy", "an application could act on the tenant in a user's name", "set the policy of the system API to deny_all or to require a client grant", POLICIES, |scene, out| {
        for api in part(&scene.tenant.apis)?.iter().filter(|api| api.is_system.is(&true)) {
            if out.read(&api.thing, &api.user_policy).flatten().is_some_and(|policy| policy == "allow_all") {
                out.at(&api.thing, &api.user_policy, "the user policy of a system API is allow_all");
            }
        }
        Ok(())
    }),
    check("api-sender-constraining", BestPractice, "An API takes a token from whoever has it", "resourceServers: proof_of_possession.required", "a stolen token needs nothing else", "require proof of possession where the plan has it", "https://auth0.com/docs/get-started/applications/configure-sender-constraining/configure-resource-server-for-sender-constraining", |scene, out| each(scene, out, |api, out| {
        out.not_on(&api.thing, &api.proof_of_possession, "proof_of_possession.required is not on");
    })),
    check("api-encryption", BestPractice, "Access tokens are signed, but readable", "resourceServers: token_encryption", "claims about users stand in logs of whatever a token passes through", "encrypt tokens that carry personal data, where the plan has it", "https://auth0.com/docs/get-started/apis/configure-json-web-encryption", |scene, out| each(scene, out, |api, out| {
        out.not_on(&api.thing, &api.encrypts, "token_encryption is not set");
    })),
    check("api-permissions-missing", BestPractice, "An API without permissions", "resourceServers: scopes", "every token for it may do everything", "define what may be done with it as permissions", SETTINGS, |scene, out| each(scene, out, |api, out| {
        if api.permissions.is_open() { out.unjudged(&api.thing, api.permissions.key, "a placeholder in part"); }
        else if api.permissions.is_empty() { out.at(&api.thing, &api.permissions, "it has no scopes"); }
    })),
];

/// Every API that is not Auth0's own.
fn each(scene: &Scene<'_>, out: &mut Outcome, judge: impl Fn(&Api, &mut Outcome)) -> Judged {
    part(&scene.tenant.apis)?.iter().filter(|api| !is_system(api)).for_each(|api| judge(api, out));
    Ok(())
}

pub(super) fn is_system(api: &Api) -> bool {
    api.is_system.is(&true) || api.identifier.known().is_some_and(|identifier| is_management(identifier))
}

/// Whether an audience is the Management API of a tenant.
pub(super) fn is_management(audience: &str) -> bool {
    audience.starts_with("https://") && audience.trim_end_matches('/').ends_with("/api/v2")
}
