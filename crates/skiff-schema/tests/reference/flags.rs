//! The words of the command line as the schema crate takes them.

use skiff_schema::TaskOverrides;

/// What the flags of a case say.
#[derive(Default)]
pub(crate) struct Flags {
    /// About the task.
    pub(crate) overrides: TaskOverrides,
    /// About the configuration: `--config`, in order.
    pub(crate) config: Vec<String>,
}

impl Flags {
    /// Reads the words of a case's command line.
    pub(crate) fn read(words: &[String]) -> Self {
        let mut flags = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--use-spot" => flags.overrides.resources.use_spot = Some(true),
                "--no-use-spot" => flags.overrides.resources.use_spot = Some(false),
                flag => {
                    let value = words
                        .next()
                        .unwrap_or_else(|| panic!("{flag} has no value"));
                    flags.take(flag, value);
                }
            }
        }
        flags
    }

    fn take(&mut self, flag: &str, value: &str) {
        let task = &mut self.overrides;
        let field = match flag {
            "--config" => return self.config.push(value.to_owned()),
            "--env" => return task.envs.push(pair(value)),
            "--secret" => return task.secrets.push(pair(value)),
            "--ports" => return task.resources.ports.push(value.to_owned()),
            "--name" => &mut task.name,
            "--workdir" => &mut task.workdir,
            "--git-url" => &mut task.git_url,
            "--git-ref" => &mut task.git_ref,
            "--num-nodes" => &mut task.num_nodes,
            "--infra" => &mut task.resources.infra,
            "--cpus" => &mut task.resources.cpus,
            "--memory" => &mut task.resources.memory,
            "--gpus" => &mut task.resources.accelerators,
            "--instance-type" => &mut task.resources.instance_type,
            "--disk-size" => &mut task.resources.disk_size,
            "--disk-tier" => &mut task.resources.disk_tier,
            "--network-tier" => &mut task.resources.network_tier,
            "--local-disk" => &mut task.resources.local_disk,
            "--image-id" => &mut task.resources.image_id,
            "--priority" => &mut task.resources.priority,
            _ => panic!("{flag} is no flag of a task"),
        };
        *field = Some(value.to_owned());
    }
}

fn pair(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').expect("NAME=VALUE");
    (name.to_owned(), value.to_owned())
}
