"""Records what SkyPilot makes of the reference cases: `record.py CASES_FOLDER RECORDED_FILE`.

Every case goes the way of `sky launch --dryrun` on Kubernetes: the flags and the file through the
client's own command line, what the client would send through the server's own checks, then each
candidate through the choice of its size. What would ask a cluster, the internet or a person is
replaced at one place, `without_the_world`. It must not decide anything by itself.
"""

import contextlib
import copy
import fnmatch
import json
import logging
import os
import pathlib
import shlex
import shutil
import socket
import sys
import tempfile
from unittest import mock

HOME = pathlib.Path(tempfile.mkdtemp(prefix='skiff-reference-'))
os.environ.update(HOME=str(HOME), SKYPILOT_DISABLE_USAGE_COLLECTION='1',
                  SKYPILOT_MINIMIZE_LOGGING='1', COLUMNS='200', LOCAL_VALUE='from the local shell')
for unwanted in [name for name in os.environ if name.startswith('GIT_')]:
    del os.environ[unwanted]

# The hosted list of accelerators: none, so that names stay as they are written.
CATALOG = HOME / '.sky/catalogs/v8/common'
CATALOG.mkdir(parents=True)
(CATALOG / 'accelerators.csv').write_text('AcceleratorName,Clouds\nNoSuchThing,[]\n')
(CATALOG / 'metadata.csv').write_text('GPU,MemoryGB,Manufacturer\n')

import click
from sky import check as sky_check
from sky import clouds, exceptions, execution, global_user_state, models, skypilot_config
from sky.client.cli import command
from sky.jobs import recovery_strategy  # it registers the strategies
from sky.provision.kubernetes import utils as kubernetes_utils
from sky.server import plugins
from sky.skylet import constants
from sky.utils import accelerator_registry, annotations, common_utils
from sky.utils import config_utils, dag_utils, git, registry, schemas, volume

KUBERNETES = schemas.get_config_schema()['properties']['kubernetes']['properties']
# What some clusters can do and others cannot: one is assumed that can.
BY_CLUSTER = ('SPOT_INSTANCE', 'CUSTOM_NETWORK_TIER')
LONGEST_ERROR = 200


class Case:
    """One case: a task file, the flags beside it, and the files around it."""

    def __init__(self, name):
        self.name = name
        self.flags = []
        self.files = {'task.yaml': []}

    @staticmethod
    def read_all(folder):
        """The cases of all files of a folder, in the order of the names of the files."""
        cases, seen = [], set()
        for path in sorted(pathlib.Path(folder).glob('*.txt')):
            case = None
            for line in path.read_text(encoding='utf-8').splitlines(keepends=True):
                if line.startswith('=== '):
                    case = Case(line[4:].strip())
                    current = case.files['task.yaml']
                    if case.name in seen:
                        sys.exit(f'{path}: there are two cases {case.name}')
                    seen.add(case.name)
                    cases.append(case)
                elif line.startswith('## ') or case is None:
                    continue
                elif line.startswith('+++ '):
                    current = case.files.setdefault(line[4:].strip(), [])
                elif line.startswith('> ') and not case.files['task.yaml']:
                    case.flags += shlex.split(line[2:])
                else:
                    current.append(line)
        return cases

    def write(self, folder):
        """Puts the files of the case into an empty folder, its configuration into the home."""
        for name, lines in self.files.items():
            place = {'config.yaml': HOME / '.sky/config.yaml', 'project.yaml': folder / '.sky.yaml'}
            place.get(name, folder / name).write_text(''.join(lines).rstrip('\n') + '\n')


class Launched(Exception):
    """Ends the client's command where it would call the server; carries what it would send."""


class AnyName(list):
    """The names of the contexts of a kubeconfig that has all of them."""

    def __contains__(self, name):
        return '*' not in name


def named_volume(name):
    """What the server knows of a volume that exists: every volume but `missing`."""
    if name == 'missing':
        return None
    handle = models.VolumeConfig(_version=1, name=name, type='k8s-pvc', cloud='Kubernetes',
                                 region=None, zone=None, name_on_cloud=f'{name}-pvc', size='10',
                                 config={'access_mode': 'ReadWriteMany'})
    return {'handle': handle, 'status': None, 'error_message': None}


def unsupported_features(resources, region=None):
    """What no Kubernetes cluster can do."""
    del resources, region
    features = dict(clouds.Kubernetes._CLOUD_UNSUPPORTED_FEATURES)
    return {key: why for key, why in features.items() if key.name not in BY_CLUSTER}


def refuse_network(*_args, **_kwargs):
    raise RuntimeError('the reference must not use the network')


def ask_nobody(text, **_kwargs):
    raise click.ClickException(text)


def without_the_world():
    """Replaces what would ask a cluster, the internet, or a person."""
    make_task = command._make_task_or_dag_from_entrypoint_with_overrides

    def end_with_task(*args, **kwargs):
        raise Launched(make_task(*args, **kwargs))

    replaced = [
        (socket.socket, 'connect', refuse_network),
        (click, 'confirm', ask_nobody),
        (command, make_task.__name__, end_with_task),
        (sky_check, 'get_cached_enabled_clouds_or_refresh', lambda *_a, **_k: [clouds.Kubernetes()]),
        (kubernetes_utils, 'get_all_kube_context_names', lambda: AnyName()),
        (clouds.Kubernetes, '_unsupported_features_for_resources', unsupported_features),
        (clouds.Kubernetes, 'regions_with_offering', lambda *_a, **_k: [clouds.Region('any')]),
        (clouds.SSH, 'validate_region_zone', lambda _self, *place: place),
        (accelerator_registry.catalog, 'list_accelerators', lambda **_k: {}),
        # A request by memory stays one candidate: the hosted list of devices would expand it.
        (accelerator_registry, 'get_devices_by_memory', device_by_memory),
        (global_user_state, 'get_volume_by_name', named_volume),
        (global_user_state, 'get_handle_from_storage_name', lambda _name: None),
        (common_utils, 'get_git_commit', lambda _path=None: None),
        (git.GitRepo, 'get_repo_clone_info', lambda _self: None),
    ]
    for cloud in registry.CLOUD_REGISTRY.values():
        if not isinstance(cloud, clouds.Kubernetes):
            # Not enabled: what it offers is not asked.
            replaced.append((type(cloud), 'validate_region_zone', lambda _self, *place: place))
    for target in replaced:
        mock.patch.object(*target).start()


def device_by_memory(memory, plus, manufacturer=None):
    return [f'by-memory_{manufacturer or ""}_{memory}GB_{"plus" if plus else ""}']


def accelerator_name(name):
    if not name.startswith('by-memory_'):
        return name
    _, maker, memory, plus = name.split('_')
    return f'{maker}:{memory}'.lstrip(':') + ('+' if plus else '')


@contextlib.contextmanager
def as_server():
    """The server's strict view: no unknown key passes."""
    with mock.patch.dict(os.environ, {constants.ENV_VAR_IS_SKYPILOT_SERVER: 'true'}), \
            mock.patch.object(plugins, '_plugins_loaded', True), \
            mock.patch.object(annotations, 'is_on_api_server', True):
        yield


@contextlib.contextmanager
def local_files_exist():
    with mock.patch('os.path.exists', lambda _path: True), \
            mock.patch('os.path.isdir', lambda _path: True):
        yield


def launch(case):
    """What `sky launch` reads, checked by client and server: a DAG."""
    skypilot_config.reload_config()
    try:
        command.launch.main(['task.yaml', '--dryrun', '--yes', *case.flags], standalone_mode=False)
    except Launched as launched:
        dag = dag_utils.convert_entrypoint_to_dag(launched.args[0])
    for task in copy.deepcopy(dag.tasks):
        with local_files_exist():
            task.expand_and_validate_workdir()
            task.expand_and_validate_file_mounts()
        for storage in task.storage_mounts.values():
            with local_files_exist(), mock.patch('os.path.isfile', lambda _path: False):
                storage._validate_storage_spec(storage.name)
    text = dag_utils.dump_dag_to_yaml_str(dag)
    with as_server():
        skypilot_config._validate_config(skypilot_config.to_dict(), 'the server')
        dag = dag_utils.load_dag_from_yaml_str(text)
        dag.resolve_and_validate_volumes()
        dag.validate(skip_file_mounts=True, skip_workdir=True)
        execution._resolve_managed_secrets(dag)
    return dag


def candidates(task):
    """The candidates that Kubernetes can run; a reason where there is none."""
    ordered = isinstance(task.resources, list)
    found, reasons = [], []
    for resources in task.resources:
        try:
            found.append(candidate(resources))
        except (exceptions.NotSupportedError, exceptions.ResourcesUnavailableError) as error:
            reasons.append(error)
    if not found:
        raise min(reasons, key=str)
    if not ordered:
        found.sort(key=lambda each: json.dumps(each, sort_keys=True))
    if len(found) > 1:
        for each in found:
            each['choice'] = 'ordered' if ordered else 'any_of'
    return found


def candidate(resources):
    if resources.cloud is not None and not isinstance(resources.cloud, clouds.Kubernetes):
        raise exceptions.ResourcesUnavailableError(f'{resources.cloud} is not enabled')
    clouds.Kubernetes.check_features_are_supported(resources,
                                                   resources.get_required_cloud_features())
    sized = clouds.Kubernetes()._get_feasible_launchable_resources(
        resources.copy(cloud=resources.cloud or clouds.Kubernetes())).resources_list
    if not sized:
        raise exceptions.ResourcesUnavailableError('Kubernetes has no such instance')
    cpus, memory = clouds.Kubernetes.get_vcpus_mem_from_instance_type(sized[0].instance_type)
    # As asked for: the size has whole ones only.
    accelerators = resources.accelerators or sized[0].accelerators
    images = dict(resources.image_id or {})
    return plain({
        'cpus': cpus,
        'memory': memory,
        'accelerators': accelerators and {
            accelerator_name(name): count for name, count in accelerators.items()},
        'instance_type': resources.instance_type,
        'infra': resources.infra.to_str(),
        'image_id': resources.extract_docker_image() or next(iter(images.values()), '')
        .removeprefix('docker:'),
        'disk_size': resources._disk_size,
        'disk_tier': resources.disk_tier and resources.disk_tier.value,
        'network_tier': resources.network_tier and resources.network_tier.value,
        'max_hourly_cost': resources.max_hourly_cost,
        'use_spot': resources.use_spot or None,
        'job_recovery': resources.job_recovery,
        'ports': resources.ports,
        'labels': resources.labels,
        'autostop': autostop(resources.autostop_config),
        'priority': resources.priority,
        'priority_class': resources.priority_class,
        'docker_login': resources.docker_login_config is not None or None,
    })


def autostop(config):
    if config is None or not config.enabled:
        return None
    wait_for = config.wait_for.value if config.wait_for else 'jobs_and_ssh'
    # Nought is raised when the cluster is launched.
    return {'idle_minutes': config.idle_minutes or 1, 'down': config.down, 'wait_for': wait_for}


def kubernetes_section(resources):
    """What the configuration says for a candidate, the task's own part on top; the changed pod."""
    context = resources.region
    own = resources.cluster_config_overrides
    section = {}
    for key in sorted(set(KUBERNETES) - {'context_configs'}):
        overrides = None if key in ('pod_config', 'custom_metadata') else own
        section[key] = skypilot_config.get_effective_region_config(
            cloud='kubernetes', region=context, keys=(key,), default_value=None,
            override_configs=overrides)
    if isinstance(section['remote_identity'], dict):
        fitting = [account for pattern, account in section['remote_identity'].items()
                   if fnmatch.fnmatchcase(context or '', pattern)]
        section['remote_identity'] = next(iter(fitting), None)
    section['custom_metadata'] = section['custom_metadata'] or {}
    config_utils.merge_k8s_configs(
        section['custom_metadata'],
        config_utils.get_cloud_config_value_from_dict(own, 'kubernetes', ('custom_metadata',),
                                                      region=context, default_value={}))
    section['pod_config'] = kubernetes_utils.resolve_effective_pod_config(own, context=context)
    pod = {'metadata': {}, 'spec': {'containers': [{'name': 'ray-node', 'image': 'any'}]}}
    config_utils.merge_k8s_configs(pod, copy.deepcopy(section['pod_config']))
    valid, message = kubernetes_utils.check_pod_config(pod)
    if not valid:
        raise exceptions.InvalidCloudConfigs(f'Invalid pod_config. Details: {message}')
    return plain({**section, 'pod_config': section['pod_config'] and pod})


def described(task):
    found = candidates(task)
    first = min(task.resources, key=lambda resources: str(resources.region))
    service = task.service and task.service.to_yaml_config()
    is_pool = bool(task.service and task.service.pool)
    file_mounts = dict(task.file_mounts or {})
    for path, storage in task.storage_mounts.items():
        file_mounts[path] = tidy(storage.to_yaml_config())
    return plain({
        'name': task.name,
        'num_nodes': task.num_nodes,
        'envs': task.envs,
        'secrets': {name: value.get_secret_value() for name, value in task.secrets.items()},
        'resources': found,
        'file_mounts': file_mounts,
        'volumes': task.volumes,
        'workdir': task.workdir,
        'setup': task.setup,
        'run': task.run,
        'service': None if is_pool else service,
        'pool': service['pool'] if is_pool else None,
        'config': first.cluster_config_overrides,
        'hooks': first.hooks,
        'event_callback': task.event_callback,
        'inputs': task.inputs and {task.inputs: task.estimated_inputs_size_gigabytes},
        'outputs': task.outputs and {task.outputs: task.estimated_outputs_size_gigabytes},
        'api_server_access': None if task.api_server_access else False,
        'kubernetes': kubernetes_section(first),
    })


def tidy(value):
    """With text as keys, and whole numbers as whole numbers."""
    if isinstance(value, dict):
        return {str(key): tidy(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [tidy(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def plain(mapping):
    """Without what says nothing."""
    return {key: tidy(value) for key, value in mapping.items()
            if value is not None and value not in ('', {}, [])}


def group(dag):
    """What several tasks have in common."""
    if dag.is_job_group():
        return {**plain({
            'name': dag.name, 'execution': dag.execution.value,
            'primary_tasks': dag.primary_tasks, 'termination_delay': dag.termination_delay,
        }), 'inter_connection': dag.inter_connection is not False}
    return plain({'name': dag.name, 'execution': 'serial'}) if len(dag.tasks) > 1 else None


def told(error, folder):
    """The first line of an error, without colours and places."""
    message = error.format_message() if isinstance(error, click.ClickException) else str(error)
    message = click.unstyle(message).replace(str(folder), '.').replace(str(HOME), '~')
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    text = ' '.join(lines[:1] + lines[1:][-1:] if lines and lines[0].endswith(':') else lines[:1])
    text = text or type(error).__name__
    return text if len(text) <= LONGEST_ERROR else text[:LONGEST_ERROR - 1] + '…'


def record(case):
    folder = pathlib.Path(tempfile.mkdtemp(dir=HOME))
    os.chdir(folder)
    case.write(folder)
    try:
        with open(os.devnull, 'w') as nowhere, contextlib.redirect_stdout(nowhere), \
                contextlib.redirect_stderr(nowhere):
            dag = launch(case)
            result = {'accepted': True, 'tasks': [described(task) for task in dag.tasks]}
            if group(dag):
                result['group'] = group(dag)
    except Exception as error:  # whatever the reference throws is its answer
        result = {'accepted': False, 'error': told(error, folder)}
    finally:
        os.chdir(HOME)
        shutil.rmtree(folder)
        (HOME / '.sky/config.yaml').unlink(missing_ok=True)
    return {'name': case.name, **result}


def main(cases_folder, recorded_file):
    cases_folder, recorded_file = map(os.path.abspath, (cases_folder, recorded_file))
    without_the_world()
    logging.disable()
    results = [record(case) for case in Case.read_all(cases_folder)]
    with open(recorded_file, 'w', encoding='utf-8') as file:
        file.writelines(json.dumps(result, ensure_ascii=False) + '\n' for result in results)
    refused = sum(not result['accepted'] for result in results)
    print(f'{len(results)} cases, of which {refused} are refused')


try:
    main(*sys.argv[1:])
finally:
    shutil.rmtree(HOME, ignore_errors=True)
