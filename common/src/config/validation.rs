//! Validation of settings: refuses values out of range and contradictory combinations.
//!
//! Owns: the ranges and the combinations. Does not own: reading settings (`config`), the kinds of store
//! (`storage_type`).

use super::{InvalidSetting, MIB, Settings, StorageType, doc, invalid, redacted_url};

impl Settings {
    pub(super) fn validate(&self) -> Result<(), InvalidSetting> {
        self.check_range("FLUSH_INTERVAL_SECS", self.flush_interval_secs as usize, 1..=86_400)?;
        self.check_range("MAX_SEGMENT_SIZE_BYTES", self.max_segment_size_bytes, 1024..=4 * 1024 * MIB)?;
        self.check_range("MAX_SEGMENT_RECORDS", self.max_segment_records, 1..=1_000_000_000)?;
        self.check_range("MEMORY_BUDGET_BYTES", self.memory_budget_bytes, 16 * MIB..=1 << 40)?;
        self.check_range("QUEUE_MEMORY_BYTES", self.queue_memory_bytes, MIB..=1 << 40)?;
        self.check_range("UPLOAD_RETRIES", self.upload_retries as usize, 1..=100)?;
        self.check_range("LEASE_SECS", self.lease_secs as usize, 2..=3600)?;
        self.check_range("JANITOR_HOLD_SECS", self.janitor_hold_secs as usize, 60..=31_536_000)?;
        self.check_range("SHUTDOWN_TIMEOUT_SECS", self.shutdown_timeout_secs as usize, 1..=3600)?;
        self.check_storage()?;
        self.check_nats_login()?;
        if let Some(url) = self.nats_monitor_url.as_ref().filter(|url| !url.starts_with("http://")) {
            return Err(invalid(doc("NATS_MONITOR_URL"), &redacted_url(url)));
        }
        match self.catalog_url().split(':').next() {
            Some("sqlite" | "postgres" | "postgresql") => Ok(()),
            _ => Err(invalid(doc("CATALOG_URL"), &redacted_url(&self.catalog_url()))),
        }
    }

    fn check_range(
        &self,
        name: &'static str,
        value: usize,
        allowed: std::ops::RangeInclusive<usize>,
    ) -> Result<(), InvalidSetting> {
        if allowed.contains(&value) {
            return Ok(());
        }
        Err(InvalidSetting(format!("{name}={value} is not in {}..={}", allowed.start(), allowed.end())))
    }

    fn check_storage(&self) -> Result<(), InvalidSetting> {
        let kind = self.storage_type.as_str();
        let Some(url) = &self.storage_url else {
            return self.storage_type.required_url().map_or(Ok(()), |example| {
                Err(InvalidSetting(format!("STORAGE_TYPE={kind} needs STORAGE_URL, for example {example}")))
            });
        };
        let Some(named) = StorageType::of(url) else {
            return Err(invalid(doc("STORAGE_URL"), &redacted_url(url)));
        };
        // The URL overrides the default type; an explicit type must agree with it.
        if named != self.storage_type && self.storage_type != StorageType::Local {
            let url = redacted_url(url);
            return Err(InvalidSetting(format!("STORAGE_TYPE={kind} contradicts STORAGE_URL={url}; set one of them")));
        }
        Ok(())
    }

    fn check_nats_login(&self) -> Result<(), InvalidSetting> {
        if self.nats_user.is_some() != self.nats_password.is_some() {
            return Err(InvalidSetting(
                "NATS_USER and NATS_PASSWORD belong together; one of them is missing".to_owned(),
            ));
        }
        if self.nats_client_cert.is_some() != self.nats_client_key.is_some() {
            return Err(InvalidSetting(
                "NATS_CLIENT_CERT and NATS_CLIENT_KEY belong together; one of them is missing".to_owned(),
            ));
        }
        let ways = [
            ("NATS_CREDENTIALS", self.nats_credentials.is_some()),
            ("NATS_USER", self.nats_user.is_some()),
            ("NATS_TOKEN", self.nats_token.is_some()),
            ("NATS_NKEY", self.nats_nkey.is_some()),
            ("NATS_NKEY_FILE", self.nats_nkey_file.is_some()),
            ("the login in NATS_URL", self.nats_url.split(',').any(|url| url.contains('@'))),
        ];
        let given: Vec<&str> = ways.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
        if given.len() > 1 {
            let given = given.join(" and ");
            return Err(InvalidSetting(format!("{given} are different ways to log in; set one of them")));
        }
        Ok(())
    }
}
