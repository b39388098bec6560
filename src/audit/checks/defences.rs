//! Attack protection, MFA, domains, e-mail and streams: what keeps attackers out, and what tells that they came.

use super::super::tenant::{BotDetection, Known, Part, Shield, Stream, Texts, Thing};
use super::{Area, Check, Judged, NotRun, Outcome, Scene, Severity, part};

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
    Check { id, area: Area::Defences, severity, title, looks_at, why, fix, docs, judge }
}

use Severity::{BestPractice, Recommended, Required};

#[rustfmt::skip]
pub const CHECKS: &[Check] = &[
    check("brute-force-off", Required, "Brute force protection is off", "attackProtection: bruteForceProtection.enabled", "nobody stops whoever tries one account's passwords", "switch it on", BRUTE_FORCE,
        |scene, out| shield(&scene.tenant.brute_force, out, |shield, out| out.not_on(&shield.thing, &shield.enabled, "it is not on"))),
    check("brute-force-block", Recommended, "Brute force protection blocks nobody", "attackProtection: bruteForceProtection.shields", "it only tells that passwords are tried", "let it block", BRUTE_FORCE,
        |scene, out| shield(&scene.tenant.brute_force, out, blocks)),
    check("brute-force-allowlist", BestPractice, "Addresses are left out of brute force protection", "attackProtection: bruteForceProtection.allowlist", "from there, passwords are tried without an end", "keep the list as short as it can be", BRUTE_FORCE,
        |scene, out| shield(&scene.tenant.brute_force, out, |shield, out| listed(&shield.thing, &shield.allowlist, out))),
    check("ip-throttling-off", Required, "Suspicious IP throttling is off", "attackProtection: suspiciousIpThrottling.enabled", "one address may try as many accounts as it likes", "switch it on", THROTTLING,
        |scene, out| shield(&scene.tenant.ip_throttling, out, |shield, out| out.not_on(&shield.thing, &shield.enabled, "it is not on"))),
    check("ip-throttling-block", Recommended, "Suspicious IP throttling blocks nobody", "attackProtection: suspiciousIpThrottling.shields", "it only tells that accounts are tried", "let it block", THROTTLING,
        |scene, out| shield(&scene.tenant.ip_throttling, out, blocks)),
    check("ip-throttling-allowlist", BestPractice, "Addresses are left out of IP throttling", "attackProtection: suspiciousIpThrottling.allowlist", "from there, accounts are tried without an end", "keep the list as short as it can be", THROTTLING,
        |scene, out| shield(&scene.tenant.ip_throttling, out, |shield, out| listed(&shield.thing, &shield.allowlist, out))),
    check("breached-passwords-off", Required, "Breached password detection is off", "attackProtection: breachedPasswordDetection.enabled", "passwords that are in everybody's lists work", "switch it on where the plan has it", BREACHED,
        |scene, out| shield(&scene.tenant.breached_passwords, out, |shield, out| out.not_on(&shield.thing, &shield.enabled, "it is not on"))),
    check("breached-passwords-block", Recommended, "Breached passwords are not blocked", "attackProtection: breachedPasswordDetection.shields", "it only tells that such a password was used", "let it block", BREACHED,
        |scene, out| shield(&scene.tenant.breached_passwords, out, blocks)),
    check("bot-detection-off", Recommended, "Bot detection is off", "attackProtection: botDetection.challenge_*_policy", "programs log in, sign up and reset passwords as fast as they can", "set each policy to when_risky", BOTS, |scene, out| bots(scene, out, |bots, out| {
        for policy in &bots.policies {
            if out.read(&bots.thing, policy).flatten().is_some_and(|policy| matches!(policy.as_str(), "never" | "off")) { out.at(&bots.thing, policy, format!("{} is never", policy.key)); }
        }
    })),
    check("bot-detection-allowlist", BestPractice, "Addresses are left out of bot detection", "attackProtection: botDetection.allowlist", "from there, programs are never challenged", "keep the list as short as it can be", BOTS,
        |scene, out| bots(scene, out, |bots, out| listed(&bots.thing, &bots.allowlist, out))),
    check("bot-detection-monitors", Recommended, "Bot detection only watches", "attackProtection: botDetection.monitoring_mode_enabled", "it tells of bots, and challenges none", "switch monitoring mode off", BOTS,
        |scene, out| bots(scene, out, |bots, out| out.on(&bots.thing, &bots.monitors_only, "monitoring_mode_enabled is true"))),
    check("mfa-no-factor", Recommended, "No factor of MFA is on", "guardianFactors: enabled", "a password that leaks is an account", "switch on WebAuthn or one-time passwords at least", MFA, |scene, out| {
        let factors = part(&scene.tenant.factors)?;
        let open = factors.iter().find(|factor| matches!(factor.enabled.value, Known::Unknown(_)));
        match (factors.iter().any(|factor| factor.enabled.is(&true)), open) {
            (true, _) => {}
            (false, Some(factor)) => out.unjudged(&factor.thing, "enabled", "a placeholder"),
            (false, None) => out.thing(&tenant_thing(scene, "MFA"), "no factor is on"),
        }
        Ok(())
    }),
    check("mfa-never", Recommended, "Nobody is ever asked for MFA", "guardianPolicies: policies", "factors that are on protect nobody unless a policy or an Action asks for them", "set the policy to all applications or to adaptive MFA, unless an Action decides", MFA, |scene, out| {
        let policies = part(&scene.tenant.mfa_policies)?;
        if policies.is_open() { return Err(NotRun("guardianPolicies: policies is a placeholder".to_owned())); }
        if !policies.is_empty() { return Ok(()); }
        let asked = part(&scene.tenant.actions)?.iter().any(|action| action.traits.as_ref().is_ok_and(|traits| traits.challenges));
        if !asked { out.thing(&tenant_thing(scene, "MFA"), "the policy is never, and no Action challenges with a factor"); }
        Ok(())
    }),
    check("mfa-phone-provider", Required, "MFA by phone goes over Auth0's test provider", "guardianFactors: sms; guardianPhoneFactorSelectedProvider", "it sends a hundred messages in all, and then nobody gets in", "set a phone provider of your own, or switch the factor off", REQUIRED_FIXES, |scene, out| {
        let Some(factor) = part(&scene.tenant.factors)?.iter().find(|factor| factor.thing.name == "sms") else { return Ok(()) };
        if out.read(&factor.thing, &factor.enabled) != Some(Some(&true)) { return Ok(()); }
        let Some(provider) = part(&scene.tenant.phone_provider)? else { return Ok(()) };
        if out.read(&factor.thing, provider).flatten().is_some_and(|provider| provider == "auth0") { out.thing(&factor.thing, "the factor is on, and the selected provider is auth0"); }
        Ok(())
    }),
    check("email-provider-missing", Required, "No e-mail provider of one's own", "emailProvider", "Auth0's test provider sends few mails, from an address of Auth0's, and takes no templates", "set an e-mail provider", REQUIRED_FIXES, |scene, out| {
        match part(&scene.tenant.email_provider)? {
            None => out.thing(&tenant_thing(scene, "e-mail provider"), "none is set"),
            Some(provider) => if out.read(&provider.thing, &provider.enabled) == Some(Some(&false)) { out.at(&provider.thing, &provider.enabled, "it is switched off"); },
        }
        Ok(())
    }),
    check("email-templates-default", Recommended, "E-mails are Auth0's own", "emailTemplates: enabled", "users get mails that do not look like you, and learn to trust any", "set templates for verification and for password resets", RECOMMENDED_FIXES, |scene, out| {
        let templates = part(&scene.tenant.email_templates)?;
        for [name, by_code] in [["verify_email", "verify_email_by_code"], ["reset_email", "reset_email_by_code"]] {
            let is_on = templates.iter().any(|template| (template.thing.name == name || template.thing.name == by_code) && !template.enabled.is(&false));
            if !is_on { out.thing(&tenant_thing(scene, name), format!("neither {name} nor {by_code} is on")); }
        }
        Ok(())
    }),
    check("email-custom-domain", Required, "E-mails lead to Auth0's domain", "tenant: flags.enable_custom_domain_in_emails; customDomains", "links in your mails go to a domain that users do not know from you", "use the custom domain in e-mails", REQUIRED_FIXES, |scene, out| {
        if part(&scene.tenant.custom_domains)?.is_empty() { return Ok(()); }
        let settings = part(&scene.tenant.settings)?;
        out.not_on(&settings.thing, &settings.domain_in_emails, "there is a custom domain, and flags.enable_custom_domain_in_emails is not on");
        Ok(())
    }),
    check("custom-domain-missing", Recommended, "No custom domain", "customDomains", "users type passwords at a domain they do not know, and browsers take its cookies for a third party's", "set up a custom domain", "https://auth0.com/docs/customize/custom-domains", |scene, out| {
        if part(&scene.tenant.custom_domains)?.is_empty() { out.thing(&tenant_thing(scene, "custom domain"), "there is none"); }
        Ok(())
    }),
    check("custom-domain-not-ready", Recommended, "A custom domain is not verified", "customDomains: status (not in an export)", "logins go on at Auth0's domain meanwhile", "finish its verification, or remove it", "https://auth0.com/docs/customize/custom-domains", |scene, out| {
        for domain in part(&scene.tenant.custom_domains)? {
            match out.read(&domain.thing, &domain.status) {
                Some(Some(status)) if status != "ready" => out.at(&domain.thing, &domain.status, format!("its status is {status}")),
                Some(None) => out.unjudged(&domain.thing, domain.status.key, "not there"),
                _ => {}
            }
        }
        Ok(())
    }),
    check("canonical-domain-open", Recommended, "Logins can go past the custom domain", "networkACLs; customDomains", "whoever goes to Auth0's own domain is past what protects yours", "block authentication at the canonical domain with a tenant access control list", ACLS, |scene, out| {
        if part(&scene.tenant.custom_domains)?.is_empty() { return Ok(()); }
        let blocked = part(&scene.tenant.network_acls)?.iter().any(|acl| {
            acl.active.is(&true) && acl.scope.is(&"authentication".to_owned()) && acl.blocks.is(&true) && (acl.hostnames.is_open() || acl.hostnames.all().any(|name| name.ends_with(".auth0.com") || name.ends_with(".auth0app.com")))
        });
        if !blocked { out.thing(&tenant_thing(scene, "canonical domain"), "no active network ACL blocks authentication at the tenant's own domain"); }
        Ok(())
    }),
    check("network-acl-missing", BestPractice, "No network ACL", "networkACLs: active", "requests from anywhere reach the tenant", "block what never logs in, where the plan has access control lists", ACLS, |scene, out| {
        let acls = part(&scene.tenant.network_acls)?;
        if !acls.iter().any(|acl| !acl.active.is(&false)) { out.thing(&tenant_thing(scene, "network ACL"), "none is active"); }
        Ok(())
    }),
    check("management-acl-missing", BestPractice, "The Management API answers from anywhere", "networkACLs: rule.scope management", "a stolen token of it works wherever the thief is", "allow it from the addresses that need it", ACLS, |scene, out| {
        let allowed = part(&scene.tenant.network_acls)?.iter().any(|acl| {
            acl.active.is(&true) && acl.scope.is(&"management".to_owned()) && acl.allows.is(&true) && !(acl.ipv4.is_empty() && acl.ipv6.is_empty())
        });
        if !allowed { out.thing(&tenant_thing(scene, "management API"), "no active network ACL allows it for certain addresses"); }
        Ok(())
    }),
    check("log-stream-missing", Recommended, "Logs are not streamed", "logStreams", "Auth0 keeps logs for days: what is not taken out in time cannot be looked into", "set up a log stream, such as one to ghostlight", "https://auth0.com/docs/customize/log-streams", |scene, out| {
        if part(&scene.tenant.log_streams)?.is_empty() { out.thing(&tenant_thing(scene, "log stream"), "there is none"); }
        Ok(())
    }),
    check("log-stream-stopped", Required, "A log stream has stopped", "logStreams: status", "Auth0 gives a stream up after errors, and logs are lost meanwhile", "mend its sink, and set it to active", "https://auth0.com/docs/customize/log-streams", |scene, out| stopped(&scene.tenant.log_streams, out)),
    check("event-stream-stopped", Recommended, "An event stream has stopped", "eventStreams: status", "changes of users do not reach what depends on them", "mend its destination, and enable it", "https://auth0.com/docs/customize/events", |scene, out| stopped(&scene.tenant.event_streams, out)),
];

/// What stands for something that is not there.
fn tenant_thing(scene: &Scene<'_>, name: &str) -> Thing {
    let place = match &scene.tenant.settings {
        Ok(settings) => settings.thing.place.clone(),
        Err(_) => super::Place::of("tenant"),
    };
    Thing { kind: "tenant", name: name.to_owned(), id: None, place, is_unnamed: false }
}

fn shield(given: &Part<Option<Shield>>, out: &mut Outcome, judge: impl Fn(&Shield, &mut Outcome)) -> Judged {
    match part(given)? {
        Some(shield) => judge(shield, out),
        None => return Err(NotRun("its settings are empty".to_owned())),
    }
    Ok(())
}

fn bots(scene: &Scene<'_>, out: &mut Outcome, judge: impl Fn(&BotDetection, &mut Outcome)) -> Judged {
    match part(&scene.tenant.bot_detection)? {
        Some(bots) => judge(bots, out),
        None => return Err(NotRun("its settings are empty".to_owned())),
    }
    Ok(())
}

/// Whether one that is on blocks.
fn blocks(shield: &Shield, out: &mut Outcome) {
    if shield.enabled.is(&false) || shield.shields.has("block") {
        return;
    }
    match shield.shields.is_open() {
        true => out.unjudged(&shield.thing, shield.shields.key, "a placeholder in part"),
        false => out.at(&shield.thing, &shield.shields, "shields has no block"),
    }
}

fn listed(thing: &Thing, allowlist: &Texts, out: &mut Outcome) {
    let count = allowlist.all().count();
    if count > 0 {
        out.at(thing, allowlist, format!("{count} addresses are on the allowlist"));
    } else if allowlist.is_open() {
        out.unjudged(thing, allowlist.key, "a placeholder in part");
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
