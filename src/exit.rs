//! Exit codes: the one table of them.
//!
//! Owns: the codes, and which error has which. Does not own: the texts of errors.

use std::fmt;
use std::process::ExitCode;

use common::config::InvalidSetting;
use service::ServiceError;

use crate::output::{Reported, UsageError};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It did everything.
    Done,
    /// It failed, or its answer is that something is wrong.
    Failed,
    /// It was asked for something that cannot be: nothing was done.
    Usage,
}

impl Exit {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Done, Self::Failed, Self::Usage];

    /// The end that an error means.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        let is_setting =
            error.downcast_ref().is_some_and(ServiceError::is_wrong_setting) || error.is::<InvalidSetting>();
        if error.is::<UsageError>() || is_setting { Self::Usage } else { Self::Failed }
    }

    /// True if the answer on standard output says what is wrong, so that nothing more is to be said.
    pub(crate) fn is_said(error: &anyhow::Error) -> bool {
        error.is::<Reported>()
    }

    /// The number that the process ends with.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
        }
    }

    /// What it means, in a line.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done; of a service: drained after SIGTERM or SIGINT",
            Self::Failed => "failed; audit found problems, doctor found something that does not work",
            Self::Usage => "wrong arguments or settings; nothing was done",
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code(), self.meaning())
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_has_the_same_table() {
        let readme = include_str!("../README.md");
        for exit in Exit::ALL {
            let line = format!("| {} | {} |", exit.code(), exit.meaning());
            assert!(readme.contains(&line), "README.md lacks {line:?}");
        }
        let mut codes: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        codes.dedup();
        assert_eq!(codes, [0, 1, 2]);
    }

    #[test]
    fn errors_end_as_their_kind_says() {
        assert_eq!(Exit::of(&UsageError::new("x").into()), Exit::Usage);
        assert_eq!(Exit::of(&anyhow::anyhow!("x")), Exit::Failed);
        assert_eq!(Exit::of(&ServiceError::from(InvalidSetting::new("x")).into()), Exit::Usage);
        assert_eq!(Exit::of(&ServiceError::Failpoint("x".to_owned()).into()), Exit::Failed);
        assert_eq!(Exit::of(&Reported.into()), Exit::Failed);
        assert!(Exit::is_said(&Reported.into()) && !Exit::is_said(&anyhow::anyhow!("x")));
    }
}
