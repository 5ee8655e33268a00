//! Programs that end: `sh -c "sleep N; exit M"`, as Jobs run them. Pure; `pod` carries them out.

use std::time::Duration;

/// A program that takes some time and ends with an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Script {
    /// How long it runs.
    pub sleep: Duration,
    /// What it exits with, 0 to 255.
    pub exit_code: u8,
}

/// When a container runs again after its program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartPolicy {
    /// The pod is finished with the program.
    Never,
    /// Only after a failure.
    OnFailure,
    /// Always, as pods of a Deployment.
    Always,
}

impl RestartPolicy {
    /// Reads `spec.restartPolicy`; the API server fills in `Always`.
    pub fn read(policy: Option<&str>) -> Self {
        match policy {
            Some("Never") => Self::Never,
            Some("OnFailure") => Self::OnFailure,
            _ => Self::Always,
        }
    }

    /// Whether a program that ended with this code is started again.
    pub fn restarts_after(self, exit_code: u8) -> bool {
        match self {
            Self::Never => false,
            Self::OnFailure => exit_code != 0,
            Self::Always => true,
        }
    }
}

impl Script {
    /// Reads a container's command and args.
    ///
    /// `None` when this is no shell command at all; an error names the statement that the stand-in cannot run.
    pub fn read(command: &[String], args: &[String]) -> Option<Result<Self, String>> {
        let words: Vec<&str> = command.iter().chain(args).map(String::as_str).collect();
        let [shell, "-c", script] = words.as_slice() else {
            return None;
        };
        if !matches!(
            shell.rsplit('/').next(),
            Some("sh" | "bash" | "ash" | "dash")
        ) {
            return None;
        }
        Some(Self::parse(script))
    }

    fn parse(script: &str) -> Result<Self, String> {
        let mut parsed = Self {
            sleep: Duration::ZERO,
            exit_code: 0,
        };
        for statement in script
            .split([';', '\n'])
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            let refused = || format!("{statement:?} is not one of `sleep SECONDS` and `exit CODE`");
            match statement.split_whitespace().collect::<Vec<_>>().as_slice() {
                ["sleep", seconds] => {
                    let seconds = seconds
                        .trim_end_matches('s')
                        .parse()
                        .map_err(|_| refused())?;
                    parsed.sleep += Duration::try_from_secs_f64(seconds).map_err(|_| refused())?;
                }
                ["exit", code] => {
                    parsed.exit_code = code.parse().map_err(|_| refused())?;
                    return Ok(parsed);
                }
                _ => return Err(refused()),
            }
        }
        Ok(parsed)
    }
}

/// The pause before start number `restarts + 1`: 1, 2, 4, then 8 seconds (a real node waits ten times as long).
pub fn restart_backoff(restarts: u32) -> Duration {
    Duration::from_secs(1 << restarts.saturating_sub(1).min(3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn script(sleep: f64, exit_code: u8) -> Script {
        Script {
            sleep: Duration::from_secs_f64(sleep),
            exit_code,
        }
    }

    #[test]
    fn shell_scripts_of_sleep_and_exit_are_read() {
        for (command, args, expected) in [
            (
                words(&["sh", "-c", "sleep 2; exit 1"]),
                words(&[]),
                script(2.0, 1),
            ),
            (
                words(&["/bin/sh", "-c", "sleep 0.5"]),
                words(&[]),
                script(0.5, 0),
            ),
            (words(&["sh", "-c"]), words(&["exit 3"]), script(0.0, 3)),
            (words(&["bash", "-c", ""]), words(&[]), script(0.0, 0)),
            (
                words(&["sh", "-c", "sleep 1s;\n sleep 1; exit 0; exit 4"]),
                words(&[]),
                script(2.0, 0),
            ),
        ] {
            assert_eq!(
                Script::read(&command, &args),
                Some(Ok(expected)),
                "{command:?} {args:?}"
            );
        }
    }

    #[test]
    fn other_commands_are_not_scripts() {
        for command in [
            words(&[]),
            words(&["/app"]),
            words(&["python", "-c", "exit(1)"]),
            words(&["sh", "run.sh"]),
        ] {
            assert_eq!(Script::read(&command, &[]), None, "{command:?}");
        }
    }

    #[test]
    fn a_statement_that_cannot_be_run_is_named() {
        for statement in [
            "curl example",
            "sleep",
            "sleep soon",
            "exit 256",
            "sleep -1",
        ] {
            let read = Script::read(&words(&["sh", "-c", &format!("sleep 1; {statement}")]), &[]);
            let error = read.expect("it is a script").expect_err(statement);
            assert!(error.contains(statement), "{error}");
        }
    }

    #[test]
    fn the_restart_policy_decides_about_another_start() {
        for (policy, after_success, after_failure) in [
            (Some("Never"), false, false),
            (Some("OnFailure"), false, true),
            (Some("Always"), true, true),
            (None, true, true),
        ] {
            let read = RestartPolicy::read(policy);
            assert_eq!(
                [0, 1].map(|code| read.restarts_after(code)),
                [after_success, after_failure],
                "{policy:?}"
            );
        }
    }

    #[test]
    fn the_pause_before_a_restart_grows_and_is_bounded() {
        assert_eq!(
            [1, 2, 3, 4, 100].map(|restarts| restart_backoff(restarts).as_secs()),
            [1, 2, 4, 8, 8]
        );
    }
}
