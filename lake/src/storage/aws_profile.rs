//! The files of the AWS tools: `~/.aws/credentials` and `~/.aws/config`.
//!
//! Owns: the static keys and the region of a profile. Does not own: other ways of a profile to log in (SSO, roles,
//! programs), which are refused by name.
//! Source: <https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-files.html>.

use std::collections::HashMap;
use std::path::PathBuf;

use common::secret::{self, Secret};

/// Members by which a profile logs in without static keys.
const OTHER_LOGINS: [&str; 5] =
    ["sso_session", "sso_start_url", "role_arn", "credential_process", "web_identity_token_file"];

/// The parts of a profile that are used.
#[derive(Debug, Default)]
pub(super) struct Profile {
    /// Static keys.
    pub(super) keys: Option<Keys>,
    /// The region.
    pub(super) region: Option<String>,
}

/// Static keys of a profile.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) id: String,
    pub(super) secret: Secret,
    pub(super) session_token: Option<Secret>,
}

type Section = HashMap<String, String>;

/// Reads the profile that `AWS_PROFILE` names, or the default one, unless variables hold keys or a token.
///
/// # Errors
/// If the profile is named and does not exist, or has no static keys.
pub(super) fn read(variable: &dyn Fn(&str) -> Option<String>) -> Result<Profile, String> {
    let named = variable("AWS_PROFILE").or_else(|| variable("AWS_DEFAULT_PROFILE"));
    let name = named.clone().unwrap_or_else(|| "default".to_owned());
    let file = |name: &str, default: &str| {
        let home = || variable("HOME").map(|home| PathBuf::from(home).join(default));
        variable(name).map(PathBuf::from).or_else(home)
    };
    let credentials = section(file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"), &name, &name);
    let header = if name == "default" { name.clone() } else { format!("profile {name}") };
    let config = section(file("AWS_CONFIG_FILE", ".aws/config"), &name, &header);
    let member = |name: &str| {
        let of = |section: &Option<Section>| section.as_ref().and_then(|section| section.get(name).cloned());
        of(&credentials).or_else(|| of(&config))
    };
    let region = member("region");
    let has_key = variable("AWS_ACCESS_KEY_ID").is_some() || variable("AWS_SECRET_ACCESS_KEY").is_some();
    let has_token = named.is_none() && variable("AWS_WEB_IDENTITY_TOKEN_FILE").is_some();
    if has_key || has_token {
        return Ok(Profile { keys: None, region });
    }
    let keys = match (member("aws_access_key_id"), member("aws_secret_access_key")) {
        (Some(id), Some(secret)) => {
            let session_token = member("aws_session_token");
            [Some(&secret), session_token.as_ref()].into_iter().flatten().for_each(|text| secret::remember(text));
            Some(Keys { id, secret: secret.into(), session_token: session_token.map(Into::into) })
        }
        _ => None,
    };
    match &named {
        Some(name) if keys.is_none() => Err(without_keys(name, credentials.is_some() || config.is_some(), &member)),
        _ => Ok(Profile { keys, region }),
    }
}

fn without_keys(name: &str, exists: bool, member: &dyn Fn(&str) -> Option<String>) -> String {
    if !exists {
        return format!("AWS_PROFILE={name}: no such profile in ~/.aws/credentials or ~/.aws/config");
    }
    let by = OTHER_LOGINS.iter().find(|login| member(login).is_some());
    let by = by.map_or(String::new(), |login| format!(" (it logs in by {login})"));
    format!(
        "AWS_PROFILE={name}: the profile has no aws_access_key_id and aws_secret_access_key{by}, and only these are read; \
         `aws configure export-credentials --profile {name} --format env` prints variables that can be set instead"
    )
}

/// The members of a section, by its name with or without the word `profile`; `None` if there is none.
fn section(file: Option<PathBuf>, name: &str, header: &str) -> Option<Section> {
    let text = std::fs::read_to_string(file?).ok()?;
    let mut found: Option<Section> = None;
    let mut is_inside = false;
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.starts_with('#') || trimmed.starts_with(';') {
            continue;
        }
        if let Some(title) = trimmed.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
            is_inside = title == header || title == name || title == format!("profile {name}");
            if is_inside {
                found.get_or_insert_default();
            }
            continue;
        }
        // Indented lines are members of members.
        let is_member = is_inside && !line.starts_with([' ', '\t']);
        if let Some((key, value)) = trimmed.split_once('=').filter(|_| is_member)
            && let Some(section) = &mut found
        {
            section.insert(key.trim().to_lowercase(), value.trim().to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_with(vars: &[(&str, &str)]) -> Result<Profile, String> {
        let directory = tempfile::tempdir().expect("a directory");
        let (credentials, config) = (directory.path().join("credentials"), directory.path().join("config"));
        let keys = "# mine\n[default]\naws_access_key_id = AK1\naws_secret_access_key=s3cret1\n\n[ work ]\n\
                    aws_access_key_id=AK2\naws_secret_access_key = s3cret2==\naws_session_token = t0ken\n[half]\naws_access_key_id=AK3\n";
        std::fs::write(&credentials, keys).expect("written");
        let settings = "[default]\nregion = eu-1\n[profile work]\nregion = eu-2\ns3 =\n  region = nested\n\
                        [profile sso]\nsso_session = x\n";
        std::fs::write(&config, settings).expect("written");
        let vars: HashMap<String, String> = vars.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        read(&|name| match name {
            "AWS_SHARED_CREDENTIALS_FILE" => Some(credentials.display().to_string()),
            "AWS_CONFIG_FILE" => Some(config.display().to_string()),
            _ => vars.get(name).cloned(),
        })
    }

    fn of(vars: &[(&str, &str)]) -> (Option<String>, Option<String>, bool, Option<String>) {
        let Profile { keys, region } = read_with(vars).expect("usable");
        let secret = keys.as_ref().map(|keys| keys.secret.expose().to_owned());
        let has_token = keys.as_ref().is_some_and(|keys| keys.session_token.is_some());
        (keys.map(|keys| keys.id), secret, has_token, region)
    }

    #[test]
    fn the_named_profile_is_read_and_variables_win() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of(&[]), (some("AK1"), some("s3cret1"), false, some("eu-1")));
        assert_eq!(of(&[("AWS_PROFILE", "work")]), (some("AK2"), some("s3cret2=="), true, some("eu-2")));
        assert_eq!(of(&[("AWS_ACCESS_KEY_ID", "x"), ("AWS_PROFILE", "work")]), (None, None, false, some("eu-2")));
        assert_eq!(of(&[("AWS_WEB_IDENTITY_TOKEN_FILE", "/x")]), (None, None, false, some("eu-1")));
    }

    #[test]
    fn a_profile_without_keys_is_refused_by_its_name() {
        for (profile, part) in [("none", "no such profile"), ("half", "only these are read"), ("sso", "by sso_session")]
        {
            let error = read_with(&[("AWS_PROFILE", profile)]).expect_err(profile);
            assert!(error.contains(&format!("AWS_PROFILE={profile}")) && error.contains(part), "{error}");
        }
        let shown = format!("{:?}", read_with(&[("AWS_PROFILE", "work")]).expect("usable"));
        assert!(!shown.contains("s3cret") && !shown.contains("t0ken"), "{shown}");
    }
}
