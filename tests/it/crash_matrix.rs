//! SIGKILL at every boundary: the shim after each message that Flow has read, upstream behind each
//! line that it prints, both, and chains of such deaths. Each time the capture goes on from what Flow
//! kept, and must end where an undisturbed one does, with no document lost on the way.
//!
//! Kills are real, and so is every first restart from a state. A later restart from the same state
//! would be the same process with the same input; what the first one said is taken again.

use std::collections::HashMap;

use serde_json::Value;

use crate::crash_model::{Dice, Flow, killed_after};
use crate::crash_scenarios::{self, Scenario};

/// Each scenario sees at least so many kills; there are thirteen, so in all there are more than 1,500.
const LEAST: usize = 120;
/// How many deaths follow each other in a chain.
const CHAIN: usize = 4;

struct Matrix {
    scenario: Scenario,
    undisturbed: Flow,
    /// What an undisturbed session says, by session and the state that it begins with.
    said: HashMap<(usize, String), Vec<Value>>,
    dice: Dice,
    seed: u64,
    kills: usize,
}

impl Matrix {
    fn new(scenario: Scenario) -> Self {
        let dice = Dice::thrown();
        let (seed, empty) = (dice.0, Flow::new(&scenario.bindings));
        let mut matrix =
            Self { undisturbed: empty.clone(), scenario, said: HashMap::new(), dice, seed, kills: 0 };
        matrix.undisturbed = matrix.finish(empty, 0);
        matrix
    }

    /// What a session says if nothing dies.
    fn session(&mut self, session: usize, flow: &Flow) -> Vec<Value> {
        let scenario = &self.scenario;
        let run = || {
            let connector = scenario.connector(&scenario.sessions[session]);
            connector.run(&[scenario.open(&flow.state)]).succeeded().responses
        };
        self.said.entry((session, flow.state.to_string())).or_insert_with(run).clone()
    }

    /// Goes on with this session, until all are done.
    fn finish(&mut self, mut flow: Flow, from: usize) -> Flow {
        for session in from..self.scenario.sessions.len() {
            let said = self.session(session, &flow);
            flow.commit(&said);
        }
        flow
    }

    /// What Flow holds after a session in which upstream dies behind so many lines, and the shim
    /// after so many messages; gives how many messages there were.
    fn strike(
        &mut self,
        flow: &Flow,
        session: usize,
        lines: Option<usize>,
        messages: Option<usize>,
    ) -> (Flow, usize) {
        let mut transcript = self.scenario.sessions[session].clone();
        if let Some(lines) = lines {
            transcript.truncate(lines);
            transcript.push("#! signal 9".to_owned());
        }
        let (connector, request) = (self.scenario.connector(&transcript), self.scenario.open(&flow.state));
        self.kills += usize::from(lines.is_some()) + usize::from(messages.is_some());
        let read = if let Some(messages) = messages {
            killed_after(&connector, &request, messages)
        } else {
            let run = connector.run(&[request]);
            assert_eq!(run.code, 11, "upstream was killed: {:?}", run.logs.last());
            run.responses
        };
        let mut kept = flow.clone();
        kept.commit(&read);
        (kept, read.len())
    }

    /// Asserts that a capture that goes on from here with this session ends as it should.
    fn recovers(&mut self, kept: Flow, session: usize, what: &str) {
        let what = format!("{what} of session {session}, seed {}", self.seed);
        if self.scenario.stands_alone && session + 1 < self.scenario.sessions.len() {
            let skipped = self.finish(kept.clone(), session + 1);
            assert_eq!(skipped.reduced(), self.undisturbed.reduced(), "{what}, then the next refresh");
        }
        let ended = self.finish(kept, session);
        assert_eq!(ended.reduced(), self.undisturbed.reduced(), "{what}");
        let lost = ended.lacks(&self.undisturbed);
        assert!(lost.is_empty(), "{what}: lost {lost:?}");
        if self.scenario.exactly_once {
            assert_eq!(ended.committed, self.undisturbed.committed, "{what}: each document once");
        }
    }

    #[expect(clippy::print_stdout, reason = "the figure is for whoever runs the matrix with --nocapture")]
    fn run(mut self) {
        let mut before = Flow::new(&self.scenario.bindings);
        for session in 0..self.scenario.sessions.len() {
            let said = self.session(session, &before);
            for messages in 0..=said.len() {
                let (kept, _) = self.strike(&before, session, None, Some(messages));
                self.recovers(kept, session, &format!("shim killed after message {messages}"));
            }
            for lines in 0..=self.scenario.sessions[session].len() {
                let (kept, said) = self.strike(&before, session, Some(lines), None);
                self.recovers(kept, session, &format!("upstream killed behind line {lines}"));
                let messages = self.dice.below(said + 1);
                let (kept, _) = self.strike(&before, session, Some(lines), Some(messages));
                let what = format!("upstream killed behind line {lines}, shim after message {messages}");
                self.recovers(kept, session, &what);
            }
            before.commit(&said);
        }
        while self.kills < LEAST {
            self.chain();
        }
        println!("{} kills", self.kills);
    }

    /// Several deaths in a row, at random places of a random session.
    fn chain(&mut self) {
        let session = self.dice.below(self.scenario.sessions.len());
        let mut flow = Flow::new(&self.scenario.bindings);
        for earlier in 0..session {
            let said = self.session(earlier, &flow);
            flow.commit(&said);
        }
        let mut deaths = Vec::new();
        for _ in 0..CHAIN {
            let left = self.session(session, &flow).len();
            let messages = self.dice.below(left + 1);
            deaths.push(messages);
            (flow, _) = self.strike(&flow, session, None, Some(messages));
        }
        self.recovers(flow, session, &format!("shim killed after messages {deaths:?}"));
    }
}

#[test]
fn airbyte_streams() {
    Matrix::new(crash_scenarios::streams()).run();
}

#[test]
fn airbyte_global() {
    Matrix::new(crash_scenarios::global()).run();
}

#[test]
fn airbyte_legacy() {
    Matrix::new(crash_scenarios::legacy()).run();
}

#[test]
fn airbyte_resumable_refresh() {
    Matrix::new(crash_scenarios::resumable()).run();
}

#[test]
fn airbyte_snapshot() {
    Matrix::new(crash_scenarios::snapshot()).run();
}

#[test]
fn airbyte_truncate() {
    Matrix::new(crash_scenarios::truncate()).run();
}

#[test]
fn airbyte_truncate_two_tables() {
    Matrix::new(crash_scenarios::truncate_two()).run();
}

#[test]
fn airbyte_truncate_in_parallel() {
    Matrix::new(crash_scenarios::truncate_parallel()).run();
}

#[test]
fn airbyte_truncate_resumable() {
    Matrix::new(crash_scenarios::truncate_resumable()).run();
}

#[test]
fn airbyte_without_states() {
    Matrix::new(crash_scenarios::silent()).run();
}

#[test]
fn singer_bookmarks() {
    Matrix::new(crash_scenarios::tap()).run();
}

#[test]
fn singer_log_based() {
    Matrix::new(crash_scenarios::log_based()).run();
}

#[test]
fn singer_full_table() {
    Matrix::new(crash_scenarios::full_table()).run();
}
