//! APIs: how their tokens are signed, how long they live, and who may ask for them.

use super::super::tenant::Api;
use super::applications::is_forgeable;
use super::{Area, Check, Judged, NOT_THERE, Outcome, Scene, Severity, part};

const SETTINGS: &str = "https://auth0.com/docs/get-started/apis/api-settings";
const POLICIES: &str = "https://auth0.com/docs/get-started/apis/api-access-policies-for-applications";

use Severity::{BestPractice, Recommended, Required};

pub const CHECKS: &[Check] = &[
    Check {
        id: "api-alg-hs256",
        area: Area::Tokens,
        severity: Required,
        title: "An API's tokens are signed with a shared secret",
        looks_at: "resourceServers: signing_alg",
        why: "every service that checks such a token can also make one",
        fix: "set the algorithm to RS256 and check tokens with the tenant's public keys",
        docs: "https://auth0.com/docs/get-started/applications/signing-algorithms",
        judge: |scene, out| {
            each(scene, out, |api, out| match out.read(&api.thing, &api.alg) {
                Some(Some(alg)) if is_forgeable(alg) => out.at(&api.thing, &api.alg, format!("signing_alg is {alg}")),
                Some(None) => out.at(&api.thing, &api.alg, "signing_alg is not set, so that it may be HS256"),
                _ => {}
            })
        },
    },
    Check {
        id: "api-token-lifetime",
        area: Area::Tokens,
        severity: Recommended,
        title: "An API's tokens live longer than a day",
        looks_at: "resourceServers: token_lifetime (seconds)",
        why: "a token cannot be taken back: whoever has stolen it keeps it for as long",
        fix: "set it to a day or less",
        docs: "https://auth0.com/docs/secure/tokens/access-tokens/update-access-token-lifetime",
        judge: |scene, out| {
            each(scene, out, |api, out| {
                if let Some(Some(seconds)) = out
                    .read(&api.thing, &api.token_seconds)
                    .filter(|seconds| seconds.is_some_and(|seconds| *seconds > 86_400.0))
                {
                    out.at(
                        &api.thing,
                        &api.token_seconds,
                        format!("token_lifetime is {seconds} s, {:.1} days", seconds / 86_400.0),
                    );
                }
            })
        },
    },
    Check {
        id: "api-user-policy",
        area: Area::Tokens,
        severity: Recommended,
        title: "Every application may ask for an API's tokens for its users",
        looks_at: "resourceServers: subject_type_authorization.user.policy",
        why: "also one that has nothing to do with the API",
        fix: "require a client grant",
        docs: POLICIES,
        judge: |scene, out| {
            each(scene, out, |api, out| {
                if out.read(&api.thing, &api.user_policy).flatten().is_some_and(|policy| policy == "allow_all") {
                    out.at(&api.thing, &api.user_policy, "the user policy is allow_all");
                }
            })
        },
    },
    Check {
        id: "api-management-user-access",
        area: Area::Tokens,
        severity: Required,
        title: "Users' tokens reach Auth0's own APIs",
        looks_at: "resourceServers (system): subject_type_authorization.user.policy",
        why: "an application could act on the tenant in a user's name",
        fix: "set the policy of the system API to deny_all or to require a client grant",
        docs: POLICIES,
        judge: |scene, out| {
            let own: Vec<_> = part(&scene.tenant.apis)?.iter().filter(|api| is_system(api)).collect();
            if own.is_empty() {
                return Err("resourceServers: the Management API is not among them".into());
            }
            for api in own {
                match out.read(&api.thing, &api.user_policy) {
                    Some(Some(policy)) if policy == "allow_all" => {
                        out.at(&api.thing, &api.user_policy, "the user policy of a system API is allow_all");
                    }
                    Some(None) => out.unjudged(&api.thing, api.user_policy.key, NOT_THERE),
                    _ => {}
                }
            }
            Ok(())
        },
    },
    Check {
        id: "api-sender-constraining",
        area: Area::Tokens,
        severity: BestPractice,
        title: "An API takes a token from whoever has it",
        looks_at: "resourceServers: proof_of_possession.required",
        why: "a stolen token needs nothing else",
        fix: "require proof of possession where the plan has it",
        docs: "https://auth0.com/docs/get-started/applications/configure-sender-constraining/configure-resource-server-for-sender-constraining",
        judge: |scene, out| {
            each(scene, out, |api, out| {
                out.not_on(&api.thing, &api.proof_of_possession, "proof_of_possession.required is not on");
            })
        },
    },
    Check {
        id: "api-encryption",
        area: Area::Tokens,
        severity: BestPractice,
        title: "Access tokens are signed, but readable",
        looks_at: "resourceServers: token_encryption",
        why: "claims about users stand in logs of whatever a token passes through",
        fix: "encrypt tokens that carry personal data, where the plan has it",
        docs: "https://auth0.com/docs/get-started/apis/configure-json-web-encryption",
        judge: |scene, out| {
            each(scene, out, |api, out| {
                out.not_on(&api.thing, &api.encrypts, "token_encryption is not set");
            })
        },
    },
    Check {
        id: "api-permissions-missing",
        area: Area::Tokens,
        severity: BestPractice,
        title: "An API without permissions",
        looks_at: "resourceServers: scopes",
        why: "every token for it may do everything",
        fix: "define what may be done with it as permissions",
        docs: SETTINGS,
        judge: |scene, out| {
            each(scene, out, |api, out| {
                if let Some(why) = api.permissions.open() {
                    out.unjudged(&api.thing, api.permissions.key, why);
                } else if api.permissions.is_empty() {
                    out.at(&api.thing, &api.permissions, "it has no scopes");
                }
            })
        },
    },
];

/// Every API that is not Auth0's own.
fn each(scene: &Scene<'_>, out: &mut Outcome, judge: impl Fn(&Api, &mut Outcome)) -> Judged {
    part(&scene.tenant.apis)?.iter().filter(|api| !is_system(api)).for_each(|api| judge(api, out));
    Ok(())
}

pub(super) fn is_system(api: &Api) -> bool {
    api.is_system.is(&true) || api.is_management
}
