//! Attack protection, MFA, domains, e-mail and streams: what keeps attackers out, and what tells that they came.

use std::ops::{Bound, RangeBounds};

use super::super::tenant::{
    BotDetection, CustomDomain, Field, Known, NetworkAcl, Part, Shield, Stream, Texts, Thing, is_canonical,
};
use super::code::{Trigger, does};
use super::{Area, Check, Judged, NOT_THERE, NotRun, Outcome, Scene, Severity, part, tenant_thing};

const BRUTE_FORCE: &str = "https://auth0.com/docs/secure/attack-protection/brute-force-protection";
const THROTTLING: &str = "https://auth0.com/docs/secure/attack-protection/suspicious-ip-throttling";
const BREACHED: &str = "https://auth0.com/docs/secure/attack-protection/breached-password-detection";
const BOTS: &str = "https://auth0.com/docs/secure/attack-protection/bot-detection";
const MFA: &str = "https://auth0.com/docs/secure/multi-factor-authentication";
const REQUIRED_FIXES: &str =
    "https://auth0.com/docs/deploy-monitor/pre-deployment-checks/production-check-required-fixes";
const RECOMMENDED_FIXES: &str =
    "https://auth0.com/docs/deploy-monitor/pre-deployment-checks/production-check-recommended-fixes";
const ACLS: &str = "https://auth0.com/docs/secure/tenant-access-control-list";

use Severity::{BestPractice, Recommended, Required};

pub const CHECKS: &[Check] = &[
    Check {
        id: "brute-force-off",
        area: Area::Defences,
        severity: Required,
        title: "Brute force protection is off",
        looks_at: "attackProtection: bruteForceProtection.enabled",
        why: "nobody stops whoever tries one account's passwords",
        fix: "switch it on",
        docs: BRUTE_FORCE,
        judge: |scene, out| {
            shield(&scene.tenant.brute_force, out, |shield, out| {
                out.not_on(&shield.thing, &shield.enabled, "it is not on")
            })
        },
    },
    Check {
        id: "brute-force-block",
        area: Area::Defences,
        severity: Recommended,
        title: "Brute force protection blocks nobody",
        looks_at: "attackProtection: bruteForceProtection.shields",
        why: "it only tells that passwords are tried",
        fix: "let it block",
        docs: BRUTE_FORCE,
        judge: |scene, out| shield(&scene.tenant.brute_force, out, blocks),
    },
    Check {
        id: "brute-force-notify",
        area: Area::Defences,
        severity: BestPractice,
        title: "Nobody is told that somebody tries their account",
        looks_at: "attackProtection: bruteForceProtection.shields",
        why: "a user who is told changes the password; one who is not cannot log in, and does not know why",
        fix: "let it notify users",
        docs: BRUTE_FORCE,
        judge: |scene, out| {
            shield(&scene.tenant.brute_force, out, |shield, out| {
                has_shield(shield, &shield.shields, "user_notification", out)
            })
        },
    },
    Check {
        id: "brute-force-lockout",
        area: Area::Defences,
        severity: BestPractice,
        title: "One account may be tried from many addresses",
        looks_at: "attackProtection: bruteForceProtection.mode",
        why: "attempts are counted for each address, and whoever has many has as many attempts",
        fix: "set the mode to count_per_identifier, if a locked account harms less than a guessed password",
        docs: BRUTE_FORCE,
        judge: |scene, out| {
            shield(&scene.tenant.brute_force, out, |shield, out| {
                is_set(shield, &shield.mode, "count_per_identifier", out)
            })
        },
    },
    Check {
        id: "brute-force-attempts",
        area: Area::Defences,
        severity: Recommended,
        title: "A password may be guessed more often than ten times",
        looks_at: "attackProtection: bruteForceProtection.max_attempts",
        why: "the more attempts, the better the chance of the next one",
        fix: "set max_attempts to 10 or less",
        docs: BRUTE_FORCE,
        judge: |scene, out| {
            shield(&scene.tenant.brute_force, out, |shield, out| within(shield, &shield.attempts, ..=10.0, out))
        },
    },
    Check {
        id: "brute-force-allowlist",
        area: Area::Defences,
        severity: BestPractice,
        title: "Addresses are left out of brute force protection",
        looks_at: "attackProtection: bruteForceProtection.allowlist",
        why: "from there, passwords are tried without an end",
        fix: "keep the list as short as it can be",
        docs: BRUTE_FORCE,
        judge: |scene, out| {
            shield(&scene.tenant.brute_force, out, |shield, out| listed(&shield.thing, &shield.allowlist, out))
        },
    },
    Check {
        id: "ip-throttling-off",
        area: Area::Defences,
        severity: Required,
        title: "Suspicious IP throttling is off",
        looks_at: "attackProtection: suspiciousIpThrottling.enabled",
        why: "one address may try as many accounts as it likes",
        fix: "switch it on",
        docs: THROTTLING,
        judge: |scene, out| {
            shield(&scene.tenant.ip_throttling, out, |shield, out| {
                out.not_on(&shield.thing, &shield.enabled, "it is not on")
            })
        },
    },
    Check {
        id: "ip-throttling-block",
        area: Area::Defences,
        severity: Recommended,
        title: "Suspicious IP throttling blocks nobody",
        looks_at: "attackProtection: suspiciousIpThrottling.shields",
        why: "it only tells that accounts are tried",
        fix: "let it block",
        docs: THROTTLING,
        judge: |scene, out| shield(&scene.tenant.ip_throttling, out, blocks),
    },
    Check {
        id: "ip-throttling-notify",
        area: Area::Defences,
        severity: BestPractice,
        title: "Nobody is told of addresses that try many accounts",
        looks_at: "attackProtection: suspiciousIpThrottling.shields",
        why: "an attack that goes on unseen goes on",
        fix: "let it notify administrators",
        docs: THROTTLING,
        judge: |scene, out| {
            shield(&scene.tenant.ip_throttling, out, |shield, out| {
                has_shield(shield, &shield.shields, "admin_notification", out)
            })
        },
    },
    Check {
        id: "ip-throttling-attempts",
        area: Area::Defences,
        severity: Recommended,
        title: "One address may try more than Auth0's defaults allow",
        looks_at: "attackProtection: suspiciousIpThrottling.stage.*.max_attempts and rate (milliseconds until an attempt is given back)",
        why: "lists of passwords are tried from few addresses, and each gets further",
        fix: "set 100 logins, one given back in 864000 ms, and 50 signups, one given back in 1200 ms, or less of them",
        docs: THROTTLING,
        judge: |scene, out| {
            shield(&scene.tenant.ip_throttling, out, |shield, out| {
                within(shield, &shield.login_attempts, ..=100.0, out);
                within(shield, &shield.login_rate, 864_000.0.., out);
                within(shield, &shield.signup_attempts, ..=50.0, out);
                within(shield, &shield.signup_rate, 1_200.0.., out);
            })
        },
    },
    Check {
        id: "ip-throttling-allowlist",
        area: Area::Defences,
        severity: BestPractice,
        title: "Addresses are left out of IP throttling",
        looks_at: "attackProtection: suspiciousIpThrottling.allowlist",
        why: "from there, accounts are tried without an end",
        fix: "keep the list as short as it can be",
        docs: THROTTLING,
        judge: |scene, out| {
            shield(&scene.tenant.ip_throttling, out, |shield, out| listed(&shield.thing, &shield.allowlist, out))
        },
    },
    Check {
        id: "breached-passwords-off",
        area: Area::Defences,
        severity: Required,
        title: "Breached password detection is off",
        looks_at: "attackProtection: breachedPasswordDetection.enabled",
        why: "passwords that are in everybody's lists work",
        fix: "switch it on where the plan has it",
        docs: BREACHED,
        judge: |scene, out| {
            shield(&scene.tenant.breached_passwords, out, |shield, out| {
                out.not_on(&shield.thing, &shield.enabled, "it is not on")
            })
        },
    },
    Check {
        id: "breached-passwords-block",
        area: Area::Defences,
        severity: Recommended,
        title: "Breached passwords are not blocked",
        looks_at: "attackProtection: breachedPasswordDetection.shields",
        why: "it only tells that such a password was used",
        fix: "let it block",
        docs: BREACHED,
        judge: |scene, out| shield(&scene.tenant.breached_passwords, out, blocks),
    },
    Check {
        id: "breached-passwords-new",
        area: Area::Defences,
        severity: Recommended,
        title: "A breached password may be chosen",
        looks_at: "attackProtection: breachedPasswordDetection.stage.*.shields",
        why: "who signs up with one, or changes to one, is blocked only later, if at all",
        fix: "let it block at signups and at changes of a password",
        docs: BREACHED,
        judge: |scene, out| {
            shield(&scene.tenant.breached_passwords, out, |shield, out| {
                for shields in &shield.stage_shields {
                    has_shield(shield, shields, "block", out);
                }
            })
        },
    },
    Check {
        id: "breached-passwords-notify",
        area: Area::Defences,
        severity: BestPractice,
        title: "Nobody is told how many breached passwords are used",
        looks_at: "attackProtection: breachedPasswordDetection.shields, admin_notification_frequency",
        why: "a list with your users' passwords is tried, and whoever could act learns of it from them",
        fix: "let it notify administrators, and set how often",
        docs: BREACHED,
        judge: |scene, out| {
            shield(&scene.tenant.breached_passwords, out, |shield, out| {
                has_shield(shield, &shield.shields, "admin_notification", out);
                if !shield.shields.has("admin_notification") {
                    return;
                }
                if let Some(why) = shield.notifies.open() {
                    out.unjudged(&shield.thing, shield.notifies.key, why);
                } else if shield.notifies.is_empty() {
                    out.at(&shield.thing, &shield.notifies, "admin_notification_frequency is empty");
                }
            })
        },
    },
    Check {
        id: "breached-passwords-method",
        area: Area::Defences,
        severity: BestPractice,
        title: "Breached passwords are looked for in published lists only",
        looks_at: "attackProtection: breachedPasswordDetection.method",
        why: "a list is traded for months before it is published, and its passwords work until then",
        fix: "set the method to enhanced, where the plan has Credential Guard",
        docs: BREACHED,
        judge: |scene, out| {
            shield(&scene.tenant.breached_passwords, out, |shield, out| is_set(shield, &shield.method, "enhanced", out))
        },
    },
    Check {
        id: "bot-detection-off",
        area: Area::Defences,
        severity: Recommended,
        title: "Bot detection is off",
        looks_at: "attackProtection: botDetection.challenge_*_policy",
        why: "programs log in, sign up and reset passwords as fast as they can",
        fix: "set each policy to when_risky",
        docs: BOTS,
        judge: |scene, out| {
            bots(scene, out, |bots, out| {
                for policy in &bots.policies {
                    match out.read(&bots.thing, policy) {
                        Some(Some(given)) if matches!(given.as_str(), "never" | "off") => {
                            out.at(&bots.thing, policy, format!("{} is never", policy.key));
                        }
                        Some(None) => out.unjudged(&bots.thing, policy.key, NOT_THERE),
                        _ => {}
                    }
                }
            })
        },
    },
    Check {
        id: "bot-detection-allowlist",
        area: Area::Defences,
        severity: BestPractice,
        title: "Addresses are left out of bot detection",
        looks_at: "attackProtection: botDetection.allowlist",
        why: "from there, programs are never challenged",
        fix: "keep the list as short as it can be",
        docs: BOTS,
        judge: |scene, out| bots(scene, out, |bots, out| listed(&bots.thing, &bots.allowlist, out)),
    },
    Check {
        id: "bot-detection-monitors",
        area: Area::Defences,
        severity: Recommended,
        title: "Bot detection only watches",
        looks_at: "attackProtection: botDetection.monitoring_mode_enabled",
        why: "it tells of bots, and challenges none",
        fix: "switch monitoring mode off",
        docs: BOTS,
        judge: |scene, out| {
            bots(scene, out, |bots, out| out.on(&bots.thing, &bots.monitors_only, "monitoring_mode_enabled is true"))
        },
    },
    Check {
        id: "mfa-no-factor",
        area: Area::Defences,
        severity: Recommended,
        title: "No factor of MFA is on",
        looks_at: "guardianFactors: enabled",
        why: "a password that leaks is an account",
        fix: "switch on WebAuthn or one-time passwords at least",
        docs: MFA,
        judge: |scene, out| {
            let factors = part(&scene.tenant.factors)?;
            let open = factors.iter().find_map(|factor| match &factor.enabled.value {
                Known::Unknown(why) => Some((&factor.thing, why)),
                Known::Is(_) | Known::Absent => None,
            });
            match (factors.iter().any(|factor| factor.enabled.is(&true)), open) {
                (true, _) => {}
                (false, Some((thing, why))) => out.unjudged(thing, "enabled", why),
                (false, None) => out.thing(&tenant_thing(scene, "MFA"), "no factor is on"),
            }
            Ok(())
        },
    },
    Check {
        id: "mfa-never",
        area: Area::Defences,
        severity: Recommended,
        title: "Nobody is ever asked for MFA",
        looks_at: "guardianPolicies: policies; actions: code; triggers: post-login",
        why: "factors that are on protect nobody unless a policy or an Action asks for them",
        fix: "set the policy to all applications or to adaptive MFA, unless an Action decides",
        docs: MFA,
        judge: |scene, out| {
            let policies = part(&scene.tenant.mfa_policies)?;
            if let Some(why) = policies.open() {
                return Err(why.map(|why| format!("guardianPolicies: policies is {why}")));
            }
            if !policies.is_empty() {
                return Ok(());
            }
            if does(scene, Trigger::PostLogin, out, |traits| traits.challenges)? {
                return Ok(());
            }
            if out.unjudged.is_empty() {
                out.thing(
                    &tenant_thing(scene, "MFA"),
                    "the policy is never, and no Action bound to post-login challenges with a factor",
                );
            }
            Ok(())
        },
    },
    Check {
        id: "mfa-phone-provider",
        area: Area::Defences,
        severity: Required,
        title: "MFA by phone goes over Auth0's test provider",
        looks_at: "guardianFactors: sms; guardianPhoneFactorSelectedProvider",
        why: "it sends a hundred messages in all, and then nobody gets in",
        fix: "set a phone provider of your own, or switch the factor off",
        docs: REQUIRED_FIXES,
        judge: |scene, out| {
            let Some(factor) = part(&scene.tenant.factors)?.iter().find(|factor| factor.thing.name == "sms") else {
                return Err("guardianFactors: sms is not among them".into());
            };
            match out.read(&factor.thing, &factor.enabled) {
                Some(Some(true)) => {}
                Some(None) => {
                    out.unjudged(&factor.thing, factor.enabled.key, NOT_THERE);
                    return Ok(());
                }
                _ => return Ok(()),
            }
            let Some(provider) = part(&scene.tenant.phone_provider)? else {
                return Err("guardianPhoneFactorSelectedProvider is empty".into());
            };
            match out.read(&factor.thing, provider) {
                Some(Some(provider)) if provider == "auth0" => {
                    out.thing(&factor.thing, "the factor is on, and the selected provider is auth0");
                }
                Some(None) => out.unjudged(&factor.thing, provider.key, NOT_THERE),
                _ => {}
            }
            Ok(())
        },
    },
    Check {
        id: "email-provider-missing",
        area: Area::Defences,
        severity: Required,
        title: "No e-mail provider of one's own",
        looks_at: "emailProvider",
        why: "Auth0's test provider sends few mails, from an address of Auth0's, and takes no templates",
        fix: "set an e-mail provider",
        docs: REQUIRED_FIXES,
        judge: |scene, out| {
            match part(&scene.tenant.email_provider)? {
                None => out.thing(&tenant_thing(scene, "e-mail provider"), "none is set"),
                Some(provider) => {
                    if out.read(&provider.thing, &provider.enabled) == Some(Some(&false)) {
                        out.at(&provider.thing, &provider.enabled, "it is switched off");
                    }
                }
            }
            Ok(())
        },
    },
    Check {
        id: "email-templates-default",
        area: Area::Defences,
        severity: Recommended,
        title: "E-mails are Auth0's own",
        looks_at: "emailTemplates: enabled",
        why: "users get mails that do not look like you, and learn to trust any",
        fix: "set templates for verification and for password resets",
        docs: RECOMMENDED_FIXES,
        judge: |scene, out| {
            let templates = part(&scene.tenant.email_templates)?;
            for [name, by_code] in [["verify_email", "verify_email_by_code"], ["reset_email", "reset_email_by_code"]] {
                let own =
                    || templates.iter().filter(|template| [name, by_code].contains(&template.thing.name.as_str()));
                let open = own().find_map(|template| Some((template, template.enabled.unknown()?)));
                if own().any(|template| template.enabled.is(&true)) {
                    continue;
                }
                if let Some((template, why)) = open {
                    out.unjudged(&template.thing, template.enabled.key, why);
                } else {
                    out.thing(&tenant_thing(scene, name), format!("neither {name} nor {by_code} is on"));
                }
            }
            Ok(())
        },
    },
    Check {
        id: "email-custom-domain",
        area: Area::Defences,
        severity: Required,
        title: "E-mails lead to Auth0's domain",
        looks_at: "tenant: flags.enable_custom_domain_in_emails; customDomains",
        why: "links in your mails go to a domain that users do not know from you",
        fix: "use the custom domain in e-mails",
        docs: REQUIRED_FIXES,
        judge: |scene, out| {
            if part(&scene.tenant.custom_domains)?.is_empty() {
                return Ok(());
            }
            let settings = part(&scene.tenant.settings)?;
            out.not_on(
                &settings.thing,
                &settings.domain_in_emails,
                "there is a custom domain, and flags.enable_custom_domain_in_emails is not on",
            );
            Ok(())
        },
    },
    Check {
        id: "custom-domain-missing",
        area: Area::Defences,
        severity: Recommended,
        title: "No custom domain",
        looks_at: "customDomains",
        why: "users type passwords at a domain they do not know, and browsers take its cookies for a third party's",
        fix: "set up a custom domain",
        docs: "https://auth0.com/docs/customize/custom-domains",
        judge: |scene, out| {
            if part(&scene.tenant.custom_domains)?.is_empty() {
                out.thing(&tenant_thing(scene, "custom domain"), "there is none");
            }
            Ok(())
        },
    },
    Check {
        id: "custom-domain-not-ready",
        area: Area::Defences,
        severity: Recommended,
        title: "A custom domain is not verified",
        looks_at: "customDomains: status (not in an export)",
        why: "logins go on at Auth0's domain meanwhile",
        fix: "finish its verification, or remove it",
        docs: "https://auth0.com/docs/customize/custom-domains",
        judge: |scene, out| {
            for domain in part(&scene.tenant.custom_domains)? {
                match out.read(&domain.thing, &domain.status) {
                    Some(Some(status)) if status != "ready" => {
                        out.at(&domain.thing, &domain.status, format!("its status is {status}"))
                    }
                    Some(None) => out.unjudged(&domain.thing, domain.status.key, "not there"),
                    _ => {}
                }
            }
            Ok(())
        },
    },
    Check {
        id: "canonical-domain-open",
        area: Area::Defences,
        severity: Recommended,
        title: "Logins can go past the custom domain",
        looks_at: "networkACLs; customDomains",
        why: "whoever goes to Auth0's own domain is past what protects yours",
        fix: "block authentication at the canonical domain with a tenant access control list",
        docs: ACLS,
        judge: |scene, out| {
            if part(&scene.tenant.custom_domains)?.is_empty() {
                return Ok(());
            }
            // Of another tenant it does not matter.
            let domain = own_domain(scene);
            let own =
                |name: &str| domain.map_or_else(|| is_canonical(name), |domain| name.eq_ignore_ascii_case(domain));
            // Each of what blocks it: yes, no, or not known.
            let blocking = |acl: &NetworkAcl| {
                let flag = |field: &Field<bool>| field.known().copied();
                // All but some hosts are blocked too, where the canonical one is none of those.
                let others = &acl.other_hostnames;
                let is_other = !others.is_empty() && !others.all().any(own);
                let hosts = match acl.hostnames.all().any(own) {
                    true => Some(true),
                    false if acl.hostnames.is_open() || is_other && others.is_open() => None,
                    false => Some(is_other),
                };
                let scope = acl.scope.known().map(|scope| matches!(scope.as_str(), "authentication" | "tenant"));
                // It blocks everybody, and not those of a country or a network.
                let (ipv4, ipv6) = (&acl.ipv4, &acl.ipv6);
                let for_all = match acl.narrowed_by.is_some() || ipv4.all().chain(ipv6.all()).next().is_some() {
                    true => Some(false),
                    false if ipv4.is_open() || ipv6.is_open() => None,
                    false => Some(true),
                };
                [flag(&acl.active), scope, flag(&acl.blocks), hosts, for_all]
            };
            let acls = part(&scene.tenant.network_acls)?;
            if acls.iter().any(|acl| blocking(acl).iter().all(|part| *part == Some(true))) {
                return Ok(());
            }
            // An action that is there without a block allows, redirects or logs.
            let is_open = |acl: &&NetworkAcl| {
                let may = blocking(acl).iter().all(|part| *part != Some(false));
                may && !(acl.blocks.value == Known::Absent && acl.allows.is(&true))
            };
            if let Some(acl) = acls.iter().find(is_open) {
                let hosts = acl.hostnames.open().or_else(|| acl.other_hostnames.open());
                let reasons = [acl.active.unknown(), acl.scope.unknown(), acl.blocks.unknown(), hosts];
                let why = reasons.into_iter().flatten().max_by_key(NotRun::is_failed);
                out.unjudged(&acl.thing, "what it blocks", why.unwrap_or_else(|| NOT_THERE.into()));
            } else {
                out.thing(
                    &tenant_thing(scene, "canonical domain"),
                    "no active network ACL blocks authentication at the tenant's own domain",
                );
            }
            Ok(())
        },
    },
    Check {
        id: "canonical-domain-used",
        area: Area::Defences,
        severity: Recommended,
        title: "Users log in at Auth0's own domain although there is a custom one",
        looks_at: "customDomains; events: host names of logins and signups (datasets.events)",
        why: "sessions and passkeys belong to one domain, and what protects yours does not protect Auth0's",
        fix: "let applications use the custom domain as their issuer, then block the other one",
        docs: "https://auth0.com/docs/customize/custom-domains",
        judge: canonical_domain_used,
    },
    Check {
        id: "network-acl-missing",
        area: Area::Defences,
        severity: BestPractice,
        title: "No network ACL",
        looks_at: "networkACLs: active",
        why: "requests from anywhere reach the tenant",
        fix: "block what never logs in, where the plan has access control lists",
        docs: ACLS,
        judge: |scene, out| {
            let acls = part(&scene.tenant.network_acls)?;
            if acls.iter().any(|acl| acl.active.is(&true)) {
                return Ok(());
            }
            if let Some((acl, why)) = acls.iter().find_map(|acl| Some((acl, acl.active.unknown()?))) {
                out.unjudged(&acl.thing, acl.active.key, why);
            } else {
                out.thing(&tenant_thing(scene, "network ACL"), "none is active");
            }
            Ok(())
        },
    },
    Check {
        id: "management-acl-missing",
        area: Area::Defences,
        severity: BestPractice,
        title: "The Management API answers from anywhere",
        looks_at: "networkACLs: rule.scope management or tenant, match and not_match",
        why: "a stolen token of it works wherever the thief is",
        fix: "allow it from the addresses that need it",
        docs: ACLS,
        judge: |scene, out| {
            // Of each what allows it for some: yes, no, or not known.
            let allowing = |acl: &NetworkAcl| {
                // All addresses are none in particular.
                let is_some = |texts: &Texts| match texts.all().any(|block| block.ends_with("/0")) {
                    true => Some(false),
                    false if texts.is_open() => None,
                    false => Some(!texts.is_empty()),
                };
                let some = |ipv4: &Texts, ipv6: &Texts| match (ipv4.is_empty(), ipv6.is_empty()) {
                    (_, true) => is_some(ipv4),
                    (true, false) => is_some(ipv6),
                    (false, false) => is_some(ipv4).zip(is_some(ipv6)).map(|(ipv4, ipv6)| ipv4 && ipv6),
                };
                // Some addresses are allowed, or all others are blocked.
                let for_some = match (acl.allows.is(&true), acl.blocks.is(&true)) {
                    (true, _) => some(&acl.ipv4, &acl.ipv6),
                    (_, true) => some(&acl.other_ipv4, &acl.other_ipv6),
                    _ if matches!(
                        (&acl.allows.value, &acl.blocks.value),
                        (Known::Unknown(_), _) | (_, Known::Unknown(_))
                    ) =>
                    {
                        None
                    }
                    _ => Some(false),
                };
                let scope = acl.scope.known().map(|scope| matches!(scope.as_str(), "management" | "tenant"));
                [acl.active.known().copied(), scope, for_some]
            };
            let acls = part(&scene.tenant.network_acls)?;
            let allowed = acls.iter().any(|acl| allowing(acl).iter().all(|part| *part == Some(true)));
            let is_open = |acl: &&NetworkAcl| allowing(acl).iter().all(|part| *part != Some(false));
            if let Some(acl) = acls.iter().find(is_open).filter(|_| !allowed) {
                let lists = [&acl.ipv4, &acl.ipv6, &acl.other_ipv4, &acl.other_ipv6].map(Texts::open);
                let fields = [acl.active.unknown(), acl.scope.unknown(), acl.allows.unknown(), acl.blocks.unknown()];
                let why = lists.into_iter().chain(fields).flatten().max_by_key(NotRun::is_failed);
                out.unjudged(&acl.thing, "what it allows", why.unwrap_or_else(|| NOT_THERE.into()));
                return Ok(());
            }
            if !allowed {
                out.thing(
                    &tenant_thing(scene, "management API"),
                    "no active network ACL allows it for certain addresses",
                );
            }
            Ok(())
        },
    },
    Check {
        id: "log-stream-missing",
        area: Area::Defences,
        severity: Recommended,
        title: "Logs are not streamed",
        looks_at: "logStreams",
        why: "Auth0 keeps logs for days: what is not taken out in time cannot be looked into",
        fix: "set up a log stream, such as one to ghostlight",
        docs: "https://auth0.com/docs/customize/log-streams",
        judge: |scene, out| {
            if part(&scene.tenant.log_streams)?.is_empty() {
                out.thing(&tenant_thing(scene, "log stream"), "there is none");
            }
            Ok(())
        },
    },
    Check {
        id: "log-stream-stopped",
        area: Area::Defences,
        severity: Required,
        title: "A log stream has stopped",
        looks_at: "logStreams: status",
        why: "Auth0 gives a stream up after errors, and logs are lost meanwhile",
        fix: "mend its sink, and set it to active",
        docs: "https://auth0.com/docs/customize/log-streams",
        judge: |scene, out| stopped(&scene.tenant.log_streams, out),
    },
    Check {
        id: "log-stream-filtered",
        area: Area::Defences,
        severity: Recommended,
        title: "The log stream leaves events out",
        looks_at: "events: types that ought to come",
        why: "whoever watches the logs misses what is left out, and counts are too low",
        fix: "let the stream deliver every category of events",
        docs: "https://auth0.com/docs/customize/log-streams/event-filters",
        judge: |scene, out| {
            let traffic = scene.lately()?;
            for what in &traffic.missing {
                out.thing(&tenant_thing(scene, "log stream"), what);
            }
            Ok(())
        },
    },
    Check {
        id: "event-stream-missing",
        area: Area::Defences,
        severity: BestPractice,
        title: "No event stream",
        looks_at: "eventStreams",
        why: "whatever has to know of new and changed users asks the Management API for them, late and at the cost of its rate limit",
        fix: "set up an event stream for the systems that follow your users, if there are any",
        docs: "https://auth0.com/docs/customize/events",
        judge: |scene, out| {
            if part(&scene.tenant.event_streams)?.is_empty() {
                out.thing(&tenant_thing(scene, "event stream"), "there is none");
            }
            Ok(())
        },
    },
    Check {
        id: "event-stream-stopped",
        area: Area::Defences,
        severity: Recommended,
        title: "An event stream has stopped",
        looks_at: "eventStreams: status",
        why: "changes of users do not reach what depends on them",
        fix: "mend its destination, and enable it",
        docs: "https://auth0.com/docs/customize/events",
        judge: |scene, out| stopped(&scene.tenant.event_streams, out),
    },
];

/// The tenant's own domain, where the configuration names it.
fn own_domain<'a>(scene: &Scene<'a>) -> Option<&'a str> {
    let apis = scene.tenant.apis.as_ref().ok()?;
    let identifier = apis.iter().filter(|api| api.is_management).find_map(|api| api.identifier.known())?;
    identifier.strip_prefix("https://")?.split('/').next()
}

fn canonical_domain_used(scene: &Scene<'_>, out: &mut Outcome) -> Judged {
    // One that cannot be used yet is another check's.
    let is_pending = |domain: &CustomDomain| domain.status.known().is_some_and(|status| status != "ready");
    if part(&scene.tenant.custom_domains)?.iter().all(is_pending) {
        return Ok(());
    }
    let traffic = scene.seen()?;
    let hosts = traffic.hosts.as_ref().map_err(|why| NotRun::from(*why))?;
    let all: u64 = hosts.by_name.values().map(|host| host.events).sum();
    for (name, host) in hosts.by_name.iter().filter(|(name, _)| is_canonical(name)) {
        let thing = tenant_thing(scene, "canonical domain");
        let (count, last) = (host.events, host.last_at.date());
        let when = format!("{}: {count} of {all}, the last on {last}", traffic.period());
        let place = thing.place.clone();
        out.unused(&thing, place, format!("logins and signups came by {name}"), when);
    }
    if !out.found.is_empty() {
        return Ok(());
    }
    scene.covered()?;
    match traffic.seen.difference(&hosts.days).next() {
        _ if hosts.days.is_empty() => Err("the data has no dataset events: set datasets.events".into()),
        Some(day) => {
            Err(NotRun::NotGiven(format!("the dataset events has nothing of {day}, of which there are other events")))
        }
        None if all == 0 => Err("no login of the dataset events names a host".into()),
        None => Ok(()),
    }
}

fn shield(given: &Part<Option<Shield>>, out: &mut Outcome, judge: impl Fn(&Shield, &mut Outcome)) -> Judged {
    match part(given)? {
        Some(shield) => judge(shield, out),
        None => return Err("its settings are empty".into()),
    }
    Ok(())
}

fn bots(scene: &Scene<'_>, out: &mut Outcome, judge: impl Fn(&BotDetection, &mut Outcome)) -> Judged {
    match part(&scene.tenant.bot_detection)? {
        Some(bots) => judge(bots, out),
        None => return Err("its settings are empty".into()),
    }
    Ok(())
}

/// Whether it is on; notes it where nobody knows. That it is off is another check's; what it would do, nobody knows.
fn is_on(shield: &Shield, out: &mut Outcome) -> bool {
    match out.read(&shield.thing, &shield.enabled) {
        Some(Some(true)) => return true,
        Some(Some(false)) => out.unjudged(&shield.thing, shield.enabled.key, "off"),
        Some(None) => out.unjudged(&shield.thing, shield.enabled.key, NOT_THERE),
        None => {}
    }
    false
}

fn blocks(shield: &Shield, out: &mut Outcome) {
    has_shield(shield, &shield.shields, "block", out);
}

/// Whether one that is on does something about it.
fn has_shield(shield: &Shield, shields: &Texts, wanted: &str, out: &mut Outcome) {
    if !is_on(shield, out) || shields.has(wanted) {
        return;
    }
    match (shields.open(), &shields.value) {
        (Some(why), _) => out.unjudged(&shield.thing, shields.key, why),
        (None, Known::Absent) => out.unjudged(&shield.thing, shields.key, NOT_THERE),
        _ => out.at(&shield.thing, shields, format!("{} has no {wanted}", shields.key)),
    }
}

/// Whether a setting of one that is on is this.
fn is_set(shield: &Shield, setting: &Field<String>, wanted: &str, out: &mut Outcome) {
    if !is_on(shield, out) {
        return;
    }
    match out.read(&shield.thing, setting) {
        Some(Some(given)) if given != wanted => {
            out.at(&shield.thing, setting, format!("its {} is {given}", setting.key));
        }
        Some(None) => out.unjudged(&shield.thing, setting.key, NOT_THERE),
        _ => {}
    }
}

/// Whether a limit of one that is on is as strict as these.
fn within(shield: &Shield, limit: &Field<f64>, strict: impl RangeBounds<f64>, out: &mut Outcome) {
    if !is_on(shield, out) {
        return;
    }
    match out.read(&shield.thing, limit) {
        Some(Some(given)) if !strict.contains(given) => {
            let usual = match (strict.start_bound(), strict.end_bound()) {
                (_, Bound::Included(most)) => format!("more than {most}"),
                (Bound::Included(least), _) => format!("less than {least}"),
                _ => "beyond what is usual".to_owned(),
            };
            out.at(&shield.thing, limit, format!("{} is {given}, {usual}", limit.key));
        }
        Some(None) => out.unjudged(&shield.thing, limit.key, NOT_THERE),
        _ => {}
    }
}

fn listed(thing: &Thing, allowlist: &Texts, out: &mut Outcome) {
    let count = allowlist.all().count();
    if count > 0 {
        out.at(thing, allowlist, format!("{count} addresses are on the allowlist"));
    } else if let Some(why) = allowlist.open() {
        out.unjudged(thing, allowlist.key, why);
    }
}

fn stopped(streams: &Part<Vec<Stream>>, out: &mut Outcome) -> Judged {
    for stream in part(streams)? {
        match out.read(&stream.thing, &stream.status) {
            Some(Some(status)) if !matches!(status.as_str(), "active" | "enabled") => {
                out.at(&stream.thing, &stream.status, format!("its status is {status}"));
            }
            Some(None) => out.unjudged(&stream.thing, stream.status.key, "not there"),
            _ => {}
        }
    }
    Ok(())
}
