import { spawnSync } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { workerRegistry } from '@spillway/worker';
import { afterAll, describe, expect, it } from 'vitest';
import {
  type Container,
  deployPath,
  deployText,
  deployYaml,
  environmentOf,
  last,
  type Manifest,
  podOf,
  readManifests,
  readStages,
  repository,
  variablesOf,
} from '../test/deploy-files.ts';

const parts = ['api', 'worker', 'migrate'] as const;

describe('the manifests', () => {
  const scratch = deployPath('dist/manifests');
  afterAll(async () => rm(scratch, { recursive: true, force: true }));

  it('are valid by the schemas of Kubernetes', async () => {
    for (const { file, ...manifest } of await readManifests()) {
      const models: Record<string, new (data: object) => { validate(): void }> = await import(
        /* @vite-ignore */ `kubernetes-models/${manifest.apiVersion}`
      );
      const Model = models[manifest.kind];
      if (Model === undefined) throw new Error(`${file}: no ${manifest.kind} in ${manifest.apiVersion}`);
      expect(() => new Model(manifest).validate(), `${file}: ${manifest.kind} ${manifest.metadata.name}`).not.toThrow();
    }
  });

  // The schemas let unknown fields pass, which the API server drops: a misspelt probe is no probe. The types know them all.
  it('have no field that Kubernetes does not know', async () => {
    const lines = (await readManifests()).map(({ file, ...manifest }, index) => {
      const kind = `I${manifest.kind}`;
      return `// ${file}\nimport type { ${kind} as K${index} } from 'kubernetes-models/${manifest.apiVersion}';\nexport const m${index}: K${index} = ${JSON.stringify(manifest)};`;
    });
    await mkdir(scratch, { recursive: true });
    await writeFile(`${scratch}/manifests.ts`, lines.join('\n'));
    const args = [
      '--noEmit',
      '--strict',
      '--skipLibCheck',
      '--ignoreConfig',
      '--module',
      'nodenext',
      `${scratch}/manifests.ts`,
    ];
    const { stdout, status } = spawnSync(`${repository}node_modules/.bin/tsc`, args, { encoding: 'utf8' });
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
  });

  it('are all named by the kustomization, but the example of secrets', async () => {
    const [kustomization] = await deployYaml<{ resources: string[]; images: { name: string }[] }>(
      'kubernetes/kustomization.yaml',
    );
    const files = new Set((await readManifests()).map(({ file }) => file.replace('kubernetes/', '')));
    files.delete('secrets.example.yaml');
    expect(kustomization?.resources.toSorted()).toEqual([...files].toSorted());
    expect(kustomization?.images.map(({ name }) => name).toSorted()).toEqual(
      parts.map((part) => `spillway-${part}`).toSorted(),
    );
  });
});

async function container(part: string): Promise<Container> {
  const { containers, initContainers = [] } = (await podOf(part)).spec;
  const only = [...containers, ...initContainers].find(({ name }) => name === part);
  if (only === undefined) throw new Error(`${part} has no container`);
  return only;
}

describe.each(parts)('%s', (part) => {
  it('runs as the user of the image, with nothing that it could change or become', async () => {
    const [pod, stages] = await Promise.all([podOf(part), readStages()]);
    const { runAsUser, runAsGroup, runAsNonRoot } = pod.spec.securityContext;
    expect([runAsUser, runAsGroup].join(':')).toBe(last(stages.get(part), 'USER'));
    expect(runAsNonRoot).toBe(true);
    expect(pod.spec.automountServiceAccountToken).toBe(false);
    expect((await container(part)).securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
  });

  it('has a tag, a request and a limit of memory', async () => {
    const { image, resources } = await container(part);
    expect(image).toBe(`spillway-${part}:0.0.0`);
    expect(resources?.requests).toMatchObject({ cpu: expect.any(String), memory: expect.any(String) });
    expect(resources?.limits).toMatchObject({ memory: expect.any(String) });
  });

  it('is given only variables that it reads, and all that it must have', async () => {
    const { env = [], envFrom = [] } = await container(part);
    const manifests = await readManifests();
    const from = envFrom.map(({ secretRef, configMapRef }) => secretRef?.name ?? configMapRef?.name);
    const sources = manifests.filter(
      ({ kind, metadata }) => /Secret|ConfigMap/u.test(kind) && from.includes(metadata.name),
    );
    expect(sources).toHaveLength(from.length);
    const given = [
      ...env.map(({ name }) => name),
      ...sources.flatMap(({ data, stringData }) => Object.keys(data ?? stringData ?? {})),
    ];
    const known = part === 'migrate' ? ['DATABASE_URL'] : await variablesOf(part);
    expect(given.filter((name) => !known.includes(name))).toEqual([]);
    expect(given).toEqual(
      expect.arrayContaining(part === 'migrate' ? ['DATABASE_URL'] : ['DATABASE_URL', 'REDIS_URL']),
    );
  });
});

describe.each(['api', 'worker'] as const)('%s', (part) => {
  it('is asked at the port that the image listens on, by probes, Prometheus and the network alike', async () => {
    const [pod, stages, manifests] = await Promise.all([podOf(part), readStages(), readManifests()]);
    const port = Number(environmentOf(stages.get(part))[part === 'api' ? 'PORT' : 'WORKER_HTTP_PORT']);
    const { ports, startupProbe, livenessProbe, readinessProbe } = await container(part);
    expect(ports).toEqual([{ name: 'http', containerPort: port }]);
    for (const probe of [startupProbe, livenessProbe, readinessProbe]) expect(probe?.httpGet.port).toBe('http');
    expect(pod.metadata.annotations).toMatchObject({
      'prometheus.io/port': String(port),
      'prometheus.io/path': '/metrics',
    });
    const policy = manifests.find(
      ({ kind, metadata }) => kind === 'NetworkPolicy' && metadata.name === `spillway-${part}`,
    );
    expect(policy?.spec.ingress?.flatMap((rule) => rule.ports.map((open) => open.port))).toEqual([port]);
  });

  it('is what its budget, its autoscaler, its network policy and its service mean', async () => {
    const [pod, manifests] = await Promise.all([podOf(part), readManifests()]);
    const named = manifests.filter(({ metadata }) => metadata.name === `spillway-${part}`);
    const kinds = named.map(({ kind }) => kind);
    expect(kinds).toEqual(
      expect.arrayContaining(['Deployment', 'PodDisruptionBudget', 'HorizontalPodAutoscaler', 'NetworkPolicy']),
    );
    for (const { kind, spec } of named) {
      const labels = kind === 'Service' ? spec.selector : (spec?.selector ?? spec?.podSelector)?.matchLabels;
      if (labels !== undefined) expect(labels, kind).toEqual(pod.metadata.labels);
    }
    const scaler = named.find(({ kind }) => kind === 'HorizontalPodAutoscaler');
    expect(scaler?.spec.scaleTargetRef).toMatchObject({ kind: 'Deployment', name: `spillway-${part}` });
  });
});

it('scales workers by a metric that they have and that the adapter passes on', async () => {
  const scaler = (await readManifests()).find(
    ({ kind, metadata }) => kind === 'HorizontalPodAutoscaler' && metadata.name === 'spillway-worker',
  );
  const name = scaler?.spec.metrics?.[0]?.external?.metric.name ?? '';
  expect(await deployText('kubernetes/prometheus-adapter.yaml')).toContain(`as: ${name}\n`);
  // The registry alone has the pump's and the sink's; what the observer sees is in the test of the rules' metrics.
  expect(await workerRegistry().registry.metrics()).toContain('spillway_worker_jobs_total');
  expect(await deployText('prometheus/rules.yml')).toContain(`max(${name})`);
});

it('lets out what the secrets of the example point at, and closes everything else', async () => {
  const manifests: readonly Manifest[] = await readManifests();
  const policies = manifests.filter(({ kind }) => kind === 'NetworkPolicy');
  expect(policies.find(({ metadata }) => metadata.name === 'spillway-default-deny')?.spec).toEqual({
    podSelector: {},
    policyTypes: ['Ingress', 'Egress'],
  });
  const open = new Set(
    policies.flatMap(({ spec }) => spec.egress ?? []).flatMap(({ ports }) => ports.map(({ port }) => port)),
  );
  const urls = manifests
    .flatMap(({ stringData = {} }) => Object.values(stringData))
    .filter((value) => value.includes('://'));
  expect(urls.length).toBeGreaterThan(3);
  for (const url of urls) expect(open.has(Number(new URL(url).port)), url).toBe(true);
});

it('migrates before a worker starts, and lets no other container have the password of the owner', async () => {
  const holders = (await readManifests()).flatMap(({ spec }) =>
    [...(spec?.template?.spec.containers ?? []), ...(spec?.template?.spec.initContainers ?? [])].filter(
      ({ envFrom = [] }) => envFrom.some(({ secretRef }) => secretRef?.name === 'spillway-migrate'),
    ),
  );
  expect(holders.map(({ name }) => name)).toEqual(['migrate']);
  expect((await podOf('worker')).spec.initContainers?.map(({ name }) => name)).toEqual(['migrate']);
});

it('has no secret in the example that a program would take', async () => {
  const secrets = (await readManifests()).flatMap(({ stringData = {} }) => Object.entries(stringData));
  const [, session = ''] = secrets.find(([name]) => name === 'SPILLWAY_SESSION_SECRET') ?? [];
  expect(session.length).toBeLessThan(32);
});

it('gives a worker time to end by itself before it is killed', async () => {
  const pod = await podOf('worker');
  const timeout = (await container('worker')).env?.find(({ name }) => name === 'SPILLWAY_SHUTDOWN_TIMEOUT_MS')?.value;
  expect((pod.spec.terminationGracePeriodSeconds ?? 0) * 1_000).toBeGreaterThan(Number(timeout) + 1_000);
});
