//! `flow-shim raw …`: one request to a connector, its answer as lines of JSON, in flowctl's forms
//! (flow-protocol.md, section 7.1).

use super::catalog::task::Task;
use super::catalog::write_bindings;
use super::display::answer_table;
use super::display::form::AnswerForm;
use super::display::output::Output;
use super::driver::Runtime;
use super::driver::rules::answers;
use super::options::TaskOptions;
use super::preview::{self, PreviewOptions};
use crate::capture::shutdown::Shutdown;
use crate::failure::{Code, Failure};

/// What to ask.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum RawCommand {
    /// Print the connector's specification
    #[command(
        after_help = "Examples:\n  flow-shim raw spec -o table\n  flow-shim raw spec --source shims/source-x/test.flow.yaml"
    )]
    Spec(AskOptions),
    /// Print the streams that there are, one line each
    #[command(
        after_help = "Examples:\n  flow-shim raw discover -o table\n  flow-shim raw discover --source test.flow.yaml --name acmeCo/source-x"
    )]
    Discover(DiscoverOptions),
    /// Print whether the capture could run
    #[command(after_help = "Examples:\n  flow-shim raw validate --source test.flow.yaml")]
    Validate(AskOptions),
    /// Print what publishing the capture does
    #[command(after_help = "Examples:\n  flow-shim raw apply -o table")]
    Apply(AskOptions),
    /// Run the capture and print its documents
    #[command(after_help = "Examples:\n  flow-shim raw capture --timeout 30s --output-state")]
    Capture(CaptureOptions),
}

/// Options of a question.
#[derive(Debug, Clone, clap::Args)]
pub struct AskOptions {
    /// Which capture
    #[command(flatten)]
    pub task: TaskOptions,
    /// How to print the answer
    #[arg(short = 'o', long = "output", value_enum, default_value = "json")]
    pub form: AnswerForm,
}

/// Options of `raw discover`.
#[derive(Debug, Clone, clap::Args)]
pub struct DiscoverOptions {
    /// What to ask
    #[command(flatten)]
    pub ask: AskOptions,
    /// Write the bindings that the capture does not have, and their collections, into the file
    #[arg(long)]
    pub write: bool,
    /// Print the raw answer; always so, kept for flowctl's sake
    #[arg(long, hide = true)]
    pub emit_raw: bool,
}

/// Options of `raw capture`.
#[derive(Debug, Clone, clap::Args)]
pub struct CaptureOptions {
    /// Which capture
    #[command(flatten)]
    pub task: TaskOptions,
    /// Stop after this long without data, such as 30s
    #[arg(long, value_name = "DURATION", value_parser = crate::shim::units::parse_duration)]
    pub timeout: Option<std::time::Duration>,
    /// The state to start with
    #[arg(long, value_name = "JSON", default_value = "{}")]
    pub initial_state: String,
    /// Print states too
    #[arg(long, visible_alias = "print-checkpoint")]
    pub output_state: bool,
}

/// Runs a `raw` command.
pub async fn run(command: &RawCommand, shutdown: &Shutdown) -> Result<(), Failure> {
    let mut output = Output::stdout();
    match command {
        RawCommand::Spec(options) => spec(options, shutdown, &mut output).await?,
        RawCommand::Discover(options) => discover(options, shutdown, &mut output).await?,
        RawCommand::Validate(options) => validate(options, shutdown, &mut output).await?,
        RawCommand::Apply(options) => apply(options, shutdown, &mut output).await?,
        RawCommand::Capture(options) => {
            let CaptureOptions { task, timeout, initial_state, output_state } = options.clone();
            let once = PreviewOptions {
                task,
                timeout,
                initial_state,
                output_state,
                sessions: vec![-1],
                delay: std::time::Duration::ZERO,
                output_apply: false,
                runtime: Runtime::default(),
            };
            drop(output);
            return preview::run(&once, shutdown).await;
        }
    }
    output.flush()
}

/// The one capture that is meant; what only its endpoint matters for needs no bindings.
fn task(options: &TaskOptions, with_bindings: bool) -> Result<Task, Failure> {
    let catalog = options.catalog()?;
    options.task(&catalog, &options.only(&catalog)?, with_bindings)
}

async fn spec(options: &AskOptions, shutdown: &Shutdown, output: &mut Output) -> Result<(), Failure> {
    let task = task(&options.task, false)?;
    let spec = options.task.driver(shutdown).spec(&task).await?;
    match options.form {
        AnswerForm::Json => output.json(&spec),
        AnswerForm::Yaml => output.yaml(&spec),
        AnswerForm::Table => output.table(&answer_table::spec(&spec)),
    }
}

async fn discover(
    options: &DiscoverOptions,
    shutdown: &Shutdown,
    output: &mut Output,
) -> Result<(), Failure> {
    let DiscoverOptions { ask: AskOptions { task: chosen, form }, write, .. } = options;
    let task = task(chosen, false)?;
    let (spec, discovered) = chosen.driver(shutdown).discover(&task).await?;
    match form {
        _ if *write => {}
        AnswerForm::Json => discovered.bindings.iter().try_for_each(|binding| output.json(binding))?,
        AnswerForm::Yaml => output.yaml(&discovered.bindings)?,
        AnswerForm::Table => output.table(&answer_table::discovered(&discovered))?,
    }
    let problems = answers::discovered(&discovered, &spec.resource_path_pointers);
    for problem in &problems {
        tracing::error!("{problem}");
    }
    match problems.as_slice() {
        [] if *write => {
            let catalog = chosen.catalog()?;
            let pointers = &spec.resource_path_pointers;
            write_bindings::write(&catalog.capture(&task.name)?, &task.name, &discovered.bindings, pointers)
        }
        [] => Ok(()),
        [first, ..] => {
            output.flush()?;
            let count = problems.len();
            Err(Failure::new(
                Code::INVALID_DISCOVERY,
                format!("Flow would refuse the discovered bindings ({count} problems): {first}"),
            ))
        }
    }
}

async fn validate(options: &AskOptions, shutdown: &Shutdown, output: &mut Output) -> Result<(), Failure> {
    let task = task(&options.task, true)?;
    let (capture, validated) = options.task.driver(shutdown).validate(&task).await?;
    match options.form {
        AnswerForm::Json => output.json(&validated)?,
        AnswerForm::Yaml => output.yaml(&validated)?,
        AnswerForm::Table => output.table(&answer_table::validated(&validated))?,
    }
    output.flush()?;
    answers::validated(&validated, &capture)
}

async fn apply(options: &AskOptions, shutdown: &Shutdown, output: &mut Output) -> Result<(), Failure> {
    let task = task(&options.task, true)?;
    let applied = options.task.driver(shutdown).apply(&task, false).await?;
    match options.form {
        AnswerForm::Json => output.json(&applied),
        AnswerForm::Yaml => output.yaml(&applied),
        AnswerForm::Table => applied.action_description.lines().try_for_each(|line| output.text(line)),
    }
}
