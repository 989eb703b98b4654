//! A task's hooks as the agents read them, and the time that a pod needs for them.

use skiff_proto::{Hook, HookEvent, Hooks};
use skiff_schema::{ResolvedTask, TaskHook};

/// The hooks with the task's variables; None where it has none.
pub(crate) fn of(task: &ResolvedTask) -> Option<Hooks> {
    let hooks: Vec<Hook> = task.config.hooks().iter().map(hook).collect();
    if hooks.is_empty() {
        return None;
    }
    let pairs = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let open = |(name, value): (&String, &String)| (name.clone(), value.clone());
    Some(Hooks {
        hooks,
        env: task.envs.iter().map(open).collect(),
        secrets: task.secrets.reveal().map(pairs).collect(),
    })
}

/// Seconds that the system must wait for the hooks when it takes a pod away.
pub(crate) fn preemption_seconds(task: &ResolvedTask) -> i64 {
    let hooks = of(task).unwrap_or_default();
    i64::try_from(hooks.limit_s(HookEvent::Preemption)).unwrap_or(i64::MAX)
}

fn hook(hook: &TaskHook) -> Hook {
    const ALL: [HookEvent; 3] = [HookEvent::Stop, HookEvent::Preemption, HookEvent::Down];
    let is_named = |event: &HookEvent| hook.events.iter().any(|name| name == event.as_str());
    Hook {
        run: hook.run.clone(),
        events: ALL.into_iter().filter(is_named).collect(),
        timeout_s: hook.timeout_s,
    }
}
