//! Auth0's log event type codes as one table: a row per code, sorted by code.
//!
//! Sources: Auth0's published schemas and documentation, the token quota page, and older published lists for codes that
//! still arrive from old tenants. The set is open: a code that is not here is [`OTHER`], never an error.

use std::sync::LazyLock;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use Class::*;
use Evidence::*;

/// What a type code is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    LoginOk,
    LoginFail,
    LoginOther,
    SignupOk,
    SignupFail,
    UserTokenOk,
    UserTokenFail,
    M2mOk,
    M2mFail,
    RateLimit,
    Attack,
    Mfa,
    Logout,
    Management,
    User,
    Message,
    System,
    Other,
}

impl Class {
    /// The class as it is written in datasets.
    pub fn name(self) -> &'static str {
        match self {
            LoginOk => "login-ok",
            LoginFail => "login-fail",
            LoginOther => "login-other",
            SignupOk => "signup-ok",
            SignupFail => "signup-fail",
            UserTokenOk => "user-token-ok",
            UserTokenFail => "user-token-fail",
            M2mOk => "m2m-ok",
            M2mFail => "m2m-fail",
            RateLimit => "rate-limit",
            Attack => "attack",
            Mfa => "mfa",
            Logout => "logout",
            Management => "management",
            User => "user",
            Message => "message",
            System => "system",
            Other => "other",
        }
    }

    /// Whether Auth0 has checked the client, connection and organization such an event names. Everywhere else a
    /// stranger may have chosen them.
    pub fn is_authenticated(self) -> bool {
        matches!(self, LoginOk | SignupOk | UserTokenOk | M2mOk)
    }
}

/// Under which definition an event of this type makes its `user_id` an active user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    Never,
    /// In the list Auth0 staff published (community threads 122564 and 114275).
    Published,
    /// A signup: in the definition of the usage documentation, not in the published list.
    Docs,
    /// A newer success code with a `user_id` that follows the same logic; not confirmed by Auth0.
    Inferred,
}

/// Which events count a user as active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ActiveDefinition {
    /// Auth0's published list of types.
    #[default]
    Published,
    /// The usage documentation's "login or signup": the published list and signups.
    Docs,
    /// Every success that names a user, with newer codes Auth0 has not listed.
    Broad,
}

impl ActiveDefinition {
    pub const NAMES: [&str; 3] = ["published", "docs", "broad"];

    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "published" => Some(Self::Published),
            "docs" => Some(Self::Docs),
            "broad" => Some(Self::Broad),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Docs => "docs",
            Self::Broad => "broad",
        }
    }

    pub fn accepts(self, evidence: Evidence) -> bool {
        match evidence {
            Never => false,
            Published => true,
            Docs => self != Self::Published,
            Inferred => self == Self::Broad,
        }
    }
}

/// One type code.
#[derive(Debug, PartialEq, Eq)]
pub struct EventType {
    pub code: &'static str,
    pub class: Class,
    pub evidence: Evidence,
    /// The log stream filter category that delivers it; empty where Auth0 does not document one.
    pub category: &'static str,
    pub meaning: &'static str,
}

/// Every code that is not in the catalogue.
pub static OTHER: EventType = t("other", Other, Never, "", "a type code this version does not know");

/// The row of `code`, or [`OTHER`].
pub fn lookup(code: &str) -> &'static EventType {
    static BY_CODE: LazyLock<HashMap<&str, &EventType, FixedState>> =
        LazyLock::new(|| CATALOGUE.iter().map(|row| (row.code, row)).collect());
    BY_CODE.get(code).copied().unwrap_or(&OTHER)
}

/// Whether this can be a type code, of which Auth0 adds some: those there are look so, and free text seldom does.
pub fn can_be_code(text: &str) -> bool {
    const LONGEST: usize = 64;
    text.len() <= LONGEST
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Whether `code` has a row.
pub fn is_known(code: &str) -> bool {
    !std::ptr::eq(lookup(code), &OTHER)
}

const fn t(
    code: &'static str,
    class: Class,
    evidence: Evidence,
    category: &'static str,
    meaning: &'static str,
) -> EventType {
    EventType { code, class, evidence, category, meaning }
}

#[rustfmt::skip]
pub static CATALOGUE: [EventType; 186] = [
    t("acls_summary", Attack, Never, "other", "periodic summary of tenant ACL matches"),
    t("actions_execution_failed", System, Never, "actions", "an Action failed"),
    t("acul_sdk_notice", System, Never, "system.notification", "custom login UI SDK notice"),
    t("admin_update_launch", System, Never, "", "Auth0 update launched"),
    t("api_limit", RateLimit, Never, "system.notification", "a rate limit of the Authentication or Management API was hit"),
    t("api_limit_warning", RateLimit, Never, "system.notification", "a rate limit is nearly reached"),
    t("appi", RateLimit, Never, "system.notification", "public performance burst started (5-minute slice of the 48 h/month allowance used)"),
    t("ciba_exchange_failed", UserTokenFail, Never, "auth.token_exchange.fail", "CIBA exchange failed"),
    t("ciba_exchange_succeeded", UserTokenOk, Inferred, "auth.token_exchange.success", "back-channel (CIBA) request id swapped for a token"),
    t("ciba_start_failed", LoginFail, Never, "other", "CIBA request could not start"),
    t("ciba_start_succeeded", LoginOther, Never, "other", "CIBA request started"),
    t("cls", Message, Never, "other", "passwordless code or link sent"),
    t("coff", System, Never, "", "AD/LDAP connector offline"),
    t("con", System, Never, "", "AD/LDAP connector online"),
    t("connected_accounts_connection_failed", User, Never, "user.fail", "third-party account connection failed"),
    t("connected_accounts_connection_succeeded", User, Never, "user.success", "third-party account connected"),
    t("connected_accounts_delete_failed", User, Never, "user.fail", "connected account removal failed"),
    t("connected_accounts_delete_succeeded", User, Never, "user.success", "connected account removed"),
    t("cs", Message, Never, "user.notification", "passwordless code sent"),
    t("custom_domain_verification_failed", System, Never, "system.notification", "custom domain check failed"),
    t("depnote", System, Never, "system.notification", "deprecated feature was used"),
    t("directory_sync_completed", Management, Never, "system.notification", "inbound directory sync finished"),
    t("directory_sync_failed", Management, Never, "system.notification", "inbound directory sync failed"),
    t("directory_sync_started", Management, Never, "system.notification", "inbound directory sync started"),
    t("du", User, Never, "", "user deleted"),
    t("f", LoginFail, Never, "auth.login.fail", "login failed for a reason other than bad user name or password"),
    t("failed_on_behalf_of_token_exchange", UserTokenFail, Never, "auth.token_exchange.fail", "on-behalf-of exchange failed"),
    t("fapi", Management, Never, "", "Management API operation failed (old lists; absent from the current catalogue)"),
    t("fc", LoginFail, Never, "", "login failed in the AD/LDAP connector"),
    t("fce", User, Never, "user.fail", "e-mail change failed"),
    t("fco", LoginFail, Never, "other", "refused: page origin not allowed (CORS)"),
    t("fcoa", LoginFail, Never, "auth.login.fail", "cross-origin authentication failed"),
    t("fcp", User, Never, "user.fail", "password change failed"),
    t("fcph", User, Never, "user.fail", "post-change-password hook failed"),
    t("fcpn", User, Never, "user.fail", "phone number change failed"),
    t("fcpr", User, Never, "user.fail", "password change request failed"),
    t("fcpro", System, Never, "system.notification", "AD/LDAP connector provisioning failed"),
    t("fcu", User, Never, "user.fail", "user name change failed"),
    t("fd", UserTokenFail, Never, "user.fail", "delegation token refused (legacy)"),
    t("fdeac", LoginFail, Never, "other", "device activation failed"),
    t("fdeaz", LoginFail, Never, "user.fail", "device authorization request failed"),
    t("fdecc", LoginFail, Never, "user.fail", "user refused the device confirmation"),
    t("fdeleacft", UserTokenFail, Never, "auth.token_exchange.fail", "delegated authorization code exchange failed"),
    t("fdelsa", LoginFail, Never, "auth.silent_auth.fail", "silent authentication for a delegated identity failed"),
    t("fdu", User, Never, "user.fail", "user deletion failed"),
    t("feacft", UserTokenFail, Never, "auth.token_exchange.fail", "authorization code exchange failed"),
    t("feccft", M2mFail, Never, "auth.token_exchange.fail", "client credentials token refused (also when a token quota blocks with 429)"),
    t("fecte", UserTokenFail, Never, "auth.token_exchange.fail", "custom token exchange failed"),
    t("fede", UserTokenFail, Never, "auth.token_exchange.fail", "device code exchange failed"),
    t("federated_logout_failed", Logout, Never, "auth.logout.fail", "logout at the upstream identity provider failed"),
    t("fens", LoginFail, Never, "auth.login.fail", "native social exchange failed"),
    t("feoobft", UserTokenFail, Never, "auth.token_exchange.fail", "password + out-of-band MFA exchange failed"),
    t("feotpft", UserTokenFail, Never, "auth.token_exchange.fail", "password + OTP exchange failed"),
    t("fepft", UserTokenFail, Never, "auth.token_exchange.fail", "password grant failed"),
    t("fepotpft", UserTokenFail, Never, "auth.token_exchange.fail", "passwordless OTP exchange failed"),
    t("fercft", UserTokenFail, Never, "auth.token_exchange.fail", "password + recovery code exchange failed"),
    t("ferrt", UserTokenFail, Never, "auth.token_exchange.fail", "rotating refresh token reuse detected or exchange failed"),
    t("fertft", UserTokenFail, Never, "auth.token_exchange.fail", "refresh token exchange failed (revoked/expired)"),
    t("feta", UserTokenFail, Never, "auth.token_exchange.success", "token vault exchange failed"),
    t("fi", User, Never, "other", "user invitation could not be accepted"),
    t("flo", Logout, Never, "auth.logout.fail", "logout failed"),
    t("flows_execution_completed", System, Never, "other", "a Flow ran"),
    t("flows_execution_failed", System, Never, "other", "a Flow failed"),
    t("fn", Message, Never, "user.fail", "notification (e-mail etc.) could not be sent"),
    t("forms_submission_failed", System, Never, "other", "a Form submission failed"),
    t("forms_submission_succeeded", System, Never, "other", "a Form was submitted"),
    t("fp", LoginFail, Never, "auth.login.fail", "login failed: wrong password"),
    t("fpar", LoginFail, Never, "other", "pushed authorization request (PAR) failed"),
    t("fpurh", User, Never, "other", "post-registration hook failed"),
    t("fs", SignupFail, Never, "auth.signup.fail", "account signup failed"),
    t("fsa", LoginFail, Never, "auth.silent_auth.fail", "silent authentication failed (very common noise: no session)"),
    t("fscim", Management, Never, "scim.event", "inbound SCIM operation failed"),
    t("fu", LoginFail, Never, "auth.login.fail", "login failed: unknown user name or e-mail"),
    t("fui", User, Never, "system.notification", "bulk user import failed"),
    t("fv", User, Never, "user.fail", "verification e-mail could not be sent"),
    t("fvr", User, Never, "user.fail", "verification e-mail request failed"),
    t("gd_auth_email_verification", Mfa, Never, "other", "MFA e-mail verification done"),
    t("gd_auth_fail_email_verification", Mfa, Never, "", "MFA e-mail verification failed"),
    t("gd_auth_failed", Mfa, Never, "other", "MFA failed"),
    t("gd_auth_rejected", Mfa, Never, "other", "user refused an MFA push"),
    t("gd_auth_succeed", Mfa, Never, "other", "MFA passed"),
    t("gd_enrollment_complete", Mfa, Never, "user.notification", "first MFA factor enrolled"),
    t("gd_module_switch", Mfa, Never, "", "MFA module switch"),
    t("gd_otp_rate_limit_exceed", Mfa, Never, "other", "too many wrong MFA codes"),
    t("gd_recovery_failed", Mfa, Never, "other", "recovery code wrong"),
    t("gd_recovery_rate_limit_exceed", Mfa, Never, "", "too many wrong recovery codes"),
    t("gd_recovery_succeed", Mfa, Never, "other", "recovery code accepted"),
    t("gd_send_email", Mfa, Never, "other", "MFA e-mail sent (older lists spell it gd_send_mail)"),
    t("gd_send_email_verification", Mfa, Never, "other", "MFA verification e-mail sent"),
    t("gd_send_email_verification_failure", Mfa, Never, "", "MFA verification e-mail failed"),
    t("gd_send_pn", Mfa, Never, "other", "MFA push sent"),
    t("gd_send_pn_failure", Mfa, Never, "other", "MFA push failed"),
    t("gd_send_sms", Mfa, Never, "other", "MFA SMS sent"),
    t("gd_send_sms_failure", Mfa, Never, "other", "MFA SMS failed"),
    t("gd_send_voice", Mfa, Never, "other", "MFA voice call made"),
    t("gd_send_voice_failure", Mfa, Never, "other", "MFA voice call failed"),
    t("gd_start_auth", Mfa, Never, "other", "second factor step started"),
    t("gd_start_enroll", Mfa, Never, "user.notification", "MFA enrolment started"),
    t("gd_start_enroll_failed", Mfa, Never, "other", "MFA enrolment could not start"),
    t("gd_tenant_update", Management, Never, "other", "MFA (Guardian) tenant settings changed"),
    t("gd_unenroll", Mfa, Never, "user.notification", "MFA device removed"),
    t("gd_update_device_account", Mfa, Never, "user.notification", "MFA device changed"),
    t("gd_user_delete", Mfa, Never, "", "MFA user removed"),
    t("gd_webauthn_challenge_failed", Mfa, Never, "other", "WebAuthn check failed"),
    t("gd_webauthn_enrollment_failed", Mfa, Never, "other", "WebAuthn enrolment failed"),
    t("idjag_exchange_failed", UserTokenFail, Never, "auth.token_exchange.fail", "ID-JAG exchange failed"),
    t("idjag_exchange_succeeded", UserTokenOk, Inferred, "auth.token_exchange.success", "identity assertion grant (ID-JAG) swapped for a token"),
    t("jwt_bearer_exchange_failed", UserTokenFail, Never, "auth.token_exchange.fail", "JWT bearer assertion exchange failed"),
    t("kms_key_management_failure", Management, Never, "other", "encryption key operation failed"),
    t("kms_key_management_success", Management, Never, "other", "encryption key operation worked"),
    t("kms_key_state_changed", Management, Never, "other", "encryption key changed state"),
    t("limit_delegation", RateLimit, Never, "system.notification", "too many calls to the delegation endpoint"),
    t("limit_mu", Attack, Never, "system.notification", "IP blocked: too many failed logins or too many signups"),
    t("limit_phone", RateLimit, Never, "system.notification", "user stopped from sending more SMS/voice for now"),
    t("limit_sul", Attack, Never, "other", "account blocked: too many logins in a period from one IP"),
    t("limit_ui", RateLimit, Never, "", "too many calls to the userinfo endpoint"),
    t("limit_wc", Attack, Never, "system.notification", "IP blocked for one account: brute force"),
    t("mfar", Mfa, Never, "other", "MFA was demanded (resource owner password flow)"),
    t("mgmt_api_read", Management, Never, "management.success", "Management API read that returned a secret"),
    t("my_account_authentication_method_failed", User, Never, "user.fail", "the same, failed"),
    t("my_account_authentication_method_succeeded", User, Never, "user.success", "user changed an authentication method through the My Account API"),
    t("oidc_backchannel_logout_failed", Logout, Never, "auth.logout.fail", "back-channel logout call failed"),
    t("oidc_backchannel_logout_succeeded", Logout, Never, "auth.logout.success", "back-channel logout call delivered"),
    t("organization_member_added", User, Never, "other", "member added to an organization"),
    t("passkey_challenge_failed", LoginFail, Never, "other", "native passkey challenge failed"),
    t("passkey_challenge_started", LoginOther, Never, "other", "native passkey challenge issued"),
    t("pla", Attack, Never, "other", "pre-login bot/risk assessment record"),
    t("pwd_leak", Attack, Never, "other", "leaked password used at login (at most once an hour per IP)"),
    t("reset_pwd_leak", Attack, Never, "other", "leaked password used at reset"),
    t("resource_cleanup", System, Never, "other", "objects over a limit removed, mostly refresh tokens (limit 200 per user and application)"),
    t("rich_consents_access_error", User, Never, "other", "consent record could not be read"),
    t("s", LoginOk, Published, "auth.login.success", "login completed (interactive or over an existing SSO session)"),
    t("sapi", Management, Never, "management.success", "Management API write worked (POST/PUT/PATCH/DELETE)"),
    t("sce", User, Never, "user.success", "e-mail changed"),
    t("scoa", LoginOk, Published, "auth.login.success", "cross-origin authentication worked"),
    t("scp", User, Never, "user.success", "password changed"),
    t("scph", User, Never, "", "post-change-password hook ran"),
    t("scpn", User, Never, "user.success", "phone number changed"),
    t("scpr", User, Never, "user.success", "password change requested"),
    t("scu", User, Never, "user.success", "user name changed"),
    t("scv", LoginOther, Never, "auth.login.notification", "credentials were validated (log stream category: login notification)"),
    t("sd", UserTokenOk, Never, "user.success", "delegation token issued (legacy)"),
    t("sdel", LoginOk, Inferred, "auth.login.success", "login as a delegated identity worked"),
    t("sdeleacft", UserTokenOk, Inferred, "auth.token_exchange.success", "authorization code of a delegated login swapped"),
    t("sdelsa", LoginOk, Inferred, "auth.silent_auth.success", "silent authentication for a delegated identity worked"),
    t("sdu", User, Never, "user.success", "user deleted"),
    t("seacft", UserTokenOk, Published, "auth.token_exchange.success", "authorization code swapped for tokens"),
    t("seccft", M2mOk, Never, "auth.token_exchange.success", "client credentials token issued"),
    t("secte", UserTokenOk, Inferred, "auth.token_exchange.success", "custom token exchange worked"),
    t("sede", UserTokenOk, Inferred, "auth.token_exchange.success", "device code swapped for a token"),
    t("sens", LoginOk, Published, "auth.login.success", "native social sign-in (Apple/Facebook etc.) exchanged for tokens"),
    t("seoobft", UserTokenOk, Published, "auth.token_exchange.success", "password + out-of-band MFA gave a token"),
    t("seotpft", UserTokenOk, Published, "auth.token_exchange.success", "password + OTP gave a token"),
    t("sepft", UserTokenOk, Published, "auth.token_exchange.success", "password grant gave a token"),
    t("sepkoobft", UserTokenOk, Inferred, "auth.token_exchange.success", "passkey + out-of-band MFA gave a token"),
    t("sepkotpft", UserTokenOk, Inferred, "auth.token_exchange.success", "passkey + OTP gave a token"),
    t("sepkrcft", UserTokenOk, Inferred, "auth.token_exchange.success", "passkey + MFA recovery code gave a token"),
    t("sercft", UserTokenOk, Published, "auth.token_exchange.success", "password + MFA recovery code gave a token"),
    t("sertft", UserTokenOk, Published, "auth.token_exchange.success", "refresh token swapped for an access token"),
    t("seta", UserTokenOk, Inferred, "auth.token_exchange.success", "token vault exchange (third-party provider token) worked"),
    t("si", User, Never, "other", "user invitation accepted"),
    t("signup_pwd_leak", Attack, Never, "other", "leaked password used at signup"),
    t("slo", Logout, Never, "auth.logout.success", "user logged out"),
    t("srrt", User, Never, "user.success", "a refresh token was revoked"),
    t("ss", SignupOk, Docs, "auth.signup.success", "account signup worked"),
    t("ss_sso_failure", Management, Never, "user.fail", "self-service SSO setup step failed"),
    t("ss_sso_info", Management, Never, "user.notification", "self-service SSO information"),
    t("ss_sso_success", Management, Never, "user.success", "self-service SSO setup step worked"),
    t("ssa", LoginOk, Published, "auth.silent_auth.success", "silent authentication (prompt=none) worked"),
    t("sscim", Management, Never, "scim.event", "inbound SCIM operation worked"),
    t("success_on_behalf_of_token_exchange", UserTokenOk, Inferred, "auth.token_exchange.success", "on-behalf-of token exchange worked"),
    t("sui", User, Never, "user.success", "bulk user import done"),
    t("sv", User, Never, "user.success", "e-mail verification link used"),
    t("svr", User, Never, "user.success", "verification e-mail requested"),
    t("sys_os_update_end", System, Never, "", "OS update ended"),
    t("sys_os_update_start", System, Never, "", "OS update started"),
    t("sys_update_end", System, Never, "", "platform update ended"),
    t("sys_update_start", System, Never, "", "platform update started"),
    t("token_quota_consumption_warning", RateLimit, Never, "", "M2M token quota reached 60/80/100 % for a client or organization"),
    t("too_many_records", Mfa, Never, "", "user has the maximum number of authenticators"),
    t("ublkdu", Attack, Never, "user.notification", "block set by anomaly detection was lifted"),
    t("universal_logout_failed", Logout, Never, "auth.logout.fail", "universal logout failed"),
    t("universal_logout_succeeded", Logout, Never, "auth.logout.success", "universal logout worked"),
    t("w", LoginOther, Never, "auth.login.notification", "warning raised while a login was running"),
    t("wn", Message, Never, "other", "warning while sending a notification"),
    t("wum", User, Never, "other", "warning in a user management task"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_and_unique_so_that_lookup_finds_each() {
        assert!(CATALOGUE.windows(2).all(|pair| pair[0].code < pair[1].code));
        assert!(CATALOGUE.iter().all(|row| std::ptr::eq(lookup(row.code), row)));
    }

    #[test]
    fn the_published_list_is_the_ten_types_auth0_named() {
        let mut published: Vec<_> =
            CATALOGUE.iter().filter(|row| row.evidence == Published).map(|row| row.code).collect();
        published.sort_unstable();
        let mut named = ["s", "sepft", "ssa", "seoobft", "seotpft", "sercft", "sertft", "seacft", "scoa", "sens"];
        named.sort_unstable();
        assert_eq!(published, named);
    }

    #[test]
    fn an_unknown_code_is_other_and_no_evidence() {
        assert_eq!(lookup("zz_new").code, "other");
        assert!(!ActiveDefinition::Broad.accepts(lookup("zz_new").evidence));
    }

    #[test]
    fn definitions_widen_from_published_to_docs_to_broad() {
        let count =
            |definition: ActiveDefinition| CATALOGUE.iter().filter(|row| definition.accepts(row.evidence)).count();
        assert_eq!(count(ActiveDefinition::Published), 10);
        assert_eq!(count(ActiveDefinition::Docs), 11);
        assert!(count(ActiveDefinition::Broad) > 11);
    }
}
