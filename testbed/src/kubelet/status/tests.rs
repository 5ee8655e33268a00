use super::*;

const ACCEPTED: i64 = 100;
const LATER: i64 = 160;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a small number of seconds")
}

fn facts() -> Facts {
    Facts::accepted(Ipv4Addr::new(10, 244, 1, 2), at(ACCEPTED))
}

fn running() -> Facts {
    Facts {
        state: State::Running(at(ACCEPTED)),
        ..facts()
    }
}

fn ended(exit_code: u8, finished: bool) -> Facts {
    let mut facts = Facts {
        finished,
        ..running()
    };
    facts.end(exit_code, at(LATER));
    facts
}

fn waiting_after_a_crash() -> Facts {
    let mut facts = running();
    facts.last = Some(facts.end(1, at(LATER)));
    Facts {
        state: State::Waiting {
            reason: "CrashLoopBackOff",
            message: String::new(),
        },
        restarts: 1,
        ..facts
    }
}

fn rendered(policy: RestartPolicy, facts: &Facts) -> Value {
    patch(
        "uid-1",
        &[("app".to_owned(), "demo:v1".to_owned())],
        policy,
        facts,
    )
}

fn condition<'a>(patch: &'a Value, name: &str) -> &'a Value {
    let conditions = patch["status"]["conditions"]
        .as_array()
        .expect("conditions");
    conditions
        .iter()
        .find(|condition| condition["type"] == name)
        .expect("the condition")
}

#[test]
fn the_phase_follows_the_container_and_the_restart_policy() {
    use RestartPolicy::{Always, Never, OnFailure};
    for (what, facts, policy, phase) in [
        ("made", facts(), Always, "Pending"),
        ("running", running(), Always, "Running"),
        (
            "waiting after a crash",
            waiting_after_a_crash(),
            Always,
            "Running",
        ),
        ("ended well, for good", ended(0, true), Never, "Succeeded"),
        ("ended badly, for good", ended(1, true), Never, "Failed"),
        (
            "ended badly, tried again",
            ended(1, false),
            OnFailure,
            "Running",
        ),
        ("ended well", ended(0, false), OnFailure, "Succeeded"),
        ("deleted", ended(0, true), Always, "Succeeded"),
        ("killed", ended(137, true), Always, "Failed"),
    ] {
        assert_eq!(rendered(policy, &facts)["status"]["phase"], phase, "{what}");
    }
}

#[test]
fn all_five_conditions_are_written() {
    let patch = rendered(RestartPolicy::Always, &running());
    let written: Vec<_> = patch["status"]["conditions"]
        .as_array()
        .expect("conditions")
        .iter()
        .map(|condition| {
            (
                condition["type"].as_str().expect("a type"),
                condition["status"].as_str().expect("a status"),
            )
        })
        .collect();
    assert_eq!(
        written,
        [
            ("PodReadyToStartContainers", "True"),
            ("Initialized", "True"),
            ("Ready", "False"),
            ("ContainersReady", "False"),
            ("PodScheduled", "True"),
        ]
    );
}

#[test]
fn a_change_of_readiness_moves_only_its_own_transition_time() {
    let mut facts = running();
    facts.set_ready(true, at(LATER));
    facts.set_ready(true, at(LATER + 60));
    let patch = rendered(RestartPolicy::Always, &facts);
    let times = ["Ready", "ContainersReady", "Initialized"]
        .map(|name| condition(&patch, name)["lastTransitionTime"].clone());
    assert_eq!(
        times,
        [
            "1970-01-01T00:02:40Z",
            "1970-01-01T00:02:40Z",
            "1970-01-01T00:01:40Z"
        ]
    );
}

#[test]
fn an_end_takes_the_readiness_with_it() {
    let mut facts = running();
    facts.set_ready(true, at(ACCEPTED));
    facts.end(0, at(LATER));
    assert_eq!(
        condition(&rendered(RestartPolicy::Never, &facts), "Ready")["status"],
        "False"
    );
}

#[test]
fn a_crash_loop_shows_the_last_end_and_the_count() {
    let patch = rendered(RestartPolicy::Always, &waiting_after_a_crash());
    let container = &patch["status"]["containerStatuses"][0];
    assert_eq!(
        (
            &container["state"]["waiting"]["reason"],
            &container["lastState"]["terminated"]["exitCode"],
            &container["restartCount"]
        ),
        (&json!("CrashLoopBackOff"), &json!(1), &json!(1))
    );
}

#[test]
fn the_patch_holds_for_one_uid_only() {
    assert_eq!(
        rendered(RestartPolicy::Always, &facts())["metadata"],
        json!({"uid": "uid-1"})
    );
}
