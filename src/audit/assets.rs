//! What a tenant's configuration is made of, and where each part lies: in both layouts of an auth0-deploy-cli export, and
//! at the Management API. One table, so that no reader knows a part that another does not.

use serde_json::Value;

use super::document::Place;
use super::not_run::NotRun;

/// One part of a tenant's configuration.
pub struct Asset {
    /// Its key in `tenant.yaml`; a dot goes into an object.
    pub key: &'static str,
    pub layout: Layout,
    /// Below `/api/v2/`.
    pub endpoint: &'static str,
    pub paging: Paging,
    /// What a token must have to read it.
    pub scope: &'static str,
}

/// Where it lies in the directory layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// One file with one object, or with a list of them.
    File(&'static str),
    /// A folder with a file for each object.
    Folder(&'static str),
    /// A folder with a file for each object, but for one that is something else.
    FolderBut(&'static str, &'static str),
    /// A folder with a folder for each object, which has this file.
    Folders(&'static str, &'static str),
}

/// How the Management API hands it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paging {
    /// One answer, which is all of it.
    Whole,
    /// `page`, `per_page` and `include_totals`; the list is under this key of the answer.
    Pages(&'static str),
    /// `from` and `take`; the list is under this key of the answer, the next `from` under `next`.
    Checkpoint(&'static str),
    /// One answer for each of these names, below the endpoint; 404 means that it is not set.
    Names(&'static [&'static str]),
    /// One object with a list for each of these names, of pages below the name; the list is under this key of the answer.
    Lists(&'static [&'static str], &'static str),
}

use Layout::{File, Folder, FolderBut, Folders};
use Paging::{Checkpoint, Lists, Names, Pages, Whole};

const TEMPLATES: &[&str] = &[
    "verify_email",
    "verify_email_by_code",
    "reset_email",
    "reset_email_by_code",
    "welcome_email",
    "blocked_account",
    "stolen_credentials",
    "enrollment_email",
    "mfa_oob_code",
    "user_invitation",
];

/// Where Actions run whose code is looked at.
const TRIGGERS: &[&str] = &["post-login", "pre-user-registration", "password-reset-post-challenge"];

const fn asset(
    key: &'static str,
    layout: Layout,
    endpoint: &'static str,
    paging: Paging,
    scope: &'static str,
) -> Asset {
    Asset { key, layout, endpoint, paging, scope }
}

#[rustfmt::skip]
pub const ASSETS: [Asset; 28] = [
    asset("tenant", File("tenant.json"), "tenants/settings", Whole, "read:tenant_settings"),
    asset("clients", Folder("clients"), "clients", Pages("clients"), "read:clients"),
    asset("databases", Folders("database-connections", "database.json"), "connections", Checkpoint("connections"), "read:connections"),
    asset("connections", Folder("connections"), "connections", Checkpoint("connections"), "read:connections"),
    asset("resourceServers", Folder("resource-servers"), "resource-servers", Pages("resource_servers"), "read:resource_servers"),
    asset("clientGrants", Folder("grants"), "client-grants", Checkpoint("client_grants"), "read:client_grants"),
    asset("organizations", Folder("organizations"), "organizations", Checkpoint("organizations"), "read:organizations"),
    asset("roles", Folder("roles"), "roles", Pages("roles"), "read:roles"),
    asset("attackProtection.bruteForceProtection", File("attack-protection/brute-force-protection.json"), "attack-protection/brute-force-protection", Whole, "read:attack_protection"),
    asset("attackProtection.suspiciousIpThrottling", File("attack-protection/suspicious-ip-throttling.json"), "attack-protection/suspicious-ip-throttling", Whole, "read:attack_protection"),
    asset("attackProtection.breachedPasswordDetection", File("attack-protection/breached-password-detection.json"), "attack-protection/breached-password-detection", Whole, "read:attack_protection"),
    asset("attackProtection.botDetection", File("attack-protection/bot-detection.json"), "attack-protection/bot-detection", Whole, "read:attack_protection"),
    asset("guardianFactors", Folder("guardian/factors"), "guardian/factors", Whole, "read:guardian_factors"),
    asset("guardianPolicies", File("guardian/policies.json"), "guardian/policies", Whole, "read:mfa_policies"),
    asset("guardianPhoneFactorSelectedProvider", File("guardian/phoneFactorSelectedProvider.json"), "guardian/factors/phone/selected-provider", Whole, "read:guardian_factors"),
    asset("emailProvider", File("emails/provider.json"), "emails/provider", Names(&[""]), "read:email_provider"),
    asset("emailTemplates", FolderBut("emails", "provider.json"), "email-templates", Names(TEMPLATES), "read:email_templates"),
    asset("customDomains", File("custom-domains/custom-domains.json"), "custom-domains", Whole, "read:custom_domains"),
    asset("logStreams", Folder("log-streams"), "log-streams", Whole, "read:log_streams"),
    asset("eventStreams", Folder("event-streams"), "event-streams", Checkpoint("eventStreams"), "read:event_streams"),
    asset("actions", Folder("actions"), "actions/actions", Pages("actions"), "read:actions"),
    asset("triggers", File("triggers/triggers.json"), "actions/triggers", Lists(TRIGGERS, "bindings"), "read:actions"),
    asset("rules", Folder("rules"), "rules", Pages("rules"), "read:rules"),
    asset("hooks", Folder("hooks"), "hooks", Pages("hooks"), "read:hooks"),
    asset("networkACLs", Folder("network-acls"), "network-acls", Pages("network_acls"), "read:network_acls"),
    asset("pages", Folder("pages"), "", Whole, ""),
    asset("prompts", File("prompts/prompts.json"), "prompts", Whole, "read:prompts"),
    asset("selfServiceProfiles", Folder("self-service-profiles"), "self-service-profiles", Whole, "read:self_service_profiles"),
];

/// The part with this key.
pub fn of(key: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.key == key)
}

/// One object of a part, as it was written.
#[derive(Debug, Clone)]
pub struct Item {
    pub value: Value,
    pub place: Place,
    /// What the file is called that holds it, where each has one of its own.
    pub file_name: Option<String>,
}

/// One part as it was found.
#[derive(Debug, Clone)]
pub enum Found {
    /// All of it; none is none.
    Items(Vec<Item>),
    /// Why nothing is known of it.
    Missing(NotRun),
}
