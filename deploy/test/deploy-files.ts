import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';

/** Where the repository is. */
export const repository: string = fileURLToPath(new URL('../../', import.meta.url));

/** The path of a file below deploy/. */
export function deployPath(path: string): string {
  return `${repository}deploy/${path}`;
}

/** Its text. */
export async function deployText(path: string): Promise<string> {
  return readFile(deployPath(path), 'utf8');
}

/** The documents of a YAML file; throws for what YAML does not allow, a key twice included. */
export async function deployYaml<T>(path: string): Promise<T[]> {
  return parseAllDocuments(await deployText(path)).map((document) => {
    if ('errors' in document && document.errors.length > 0) throw document.errors[0];
    return document.toJS({ maxAliasCount: 100 }) as T;
  });
}

/** Paths of the files of a folder below deploy/. */
async function deployFiles(folder: string, ending: string): Promise<string[]> {
  const files = await readdir(deployPath(folder));
  return files
    .filter((file) => file.endsWith(ending))
    .toSorted()
    .map((file) => `${folder}/${file}`);
}

/** Where each program reads its variables, and the OpenTelemetry of both. */
const configs: Readonly<Record<string, string>> = {
  api: 'packages/runtime/src/api-config.ts',
  worker: 'packages/worker/src/config.ts',
  telemetry: 'packages/runtime/src/telemetry.ts',
};

/** The variables that the API, the worker or their telemetry reads. */
export async function variablesOf(part: string): Promise<string[]> {
  const source = await readFile(`${repository}${configs[part] ?? part}`, 'utf8');
  const found = [...source.matchAll(/^\s+([A-Z][A-Z\d_]+): /gmu)].flatMap(([, name]) =>
    name === undefined ? [] : [name],
  );
  if (found.length === 0) throw new Error(`${part} reads no variable`);
  return [...new Set(found)];
}

/** Numbers that stand for variables which are not set, by the name of the variable, as a program's source has them. */
export async function defaultsOf(part: string): Promise<ReadonlyMap<string, number>> {
  const source = await readFile(`${repository}${configs[part] ?? part}`, 'utf8');
  const found = [...source.matchAll(/^\s+([A-Z][A-Z\d_]+): .*\.default\(([\d_]+)\)/gmu)];
  return new Map(found.map(([, name = '', value = '']) => [name, Number(value.replaceAll('_', ''))]));
}

/** One stage of the Dockerfile: what it starts from and its instructions, those of the stages below it first. */
export interface Stage {
  readonly name: string;
  readonly from: string;
  /** Instruction and the rest of the line, continued lines joined. */
  readonly steps: readonly (readonly [string, string])[];
}

/** Reads deploy/Dockerfile. */
export async function readStages(): Promise<Map<string, Stage>> {
  const lines = (await deployText('Dockerfile')).replaceAll('\\\n', ' ').split('\n');
  const stages = new Map<string, Stage>();
  let steps: (readonly [string, string])[] = [];
  for (const line of lines.filter((text) => /^[A-Z]/u.test(text))) {
    const [, instruction = '', rest = ''] = /^([A-Z]+)\s+(.*)$/u.exec(line) ?? [];
    if (instruction !== 'FROM') {
      steps.push([instruction, rest]);
      continue;
    }
    const [from = '', , name = ''] = rest.split(' ');
    steps = [...(stages.get(from)?.steps ?? [])];
    stages.set(name, { name, from: stages.get(from)?.from ?? from, steps });
  }
  return stages;
}

/** What an instruction says last in a stage. */
export function last(stage: Stage | undefined, instruction: string): string {
  return stage?.steps.findLast(([name]) => name === instruction)?.[1] ?? '';
}

/** A stage's ENV, as names and values. */
export function environmentOf(stage: Stage | undefined): Record<string, string> {
  const pairs = stage?.steps.filter(([name]) => name === 'ENV').flatMap(([, rest]) => rest.split(' ')) ?? [];
  return Object.fromEntries(pairs.map((pair) => pair.split('=')));
}

/** A command in the JSON form, which needs no shell. */
export function commandOf(stage: Stage | undefined, instruction: string): string[] {
  const found: unknown = JSON.parse(last(stage, instruction).replace(/^.*?(\[)/u, '$1'));
  return found as string[];
}

/** A container, as far as the tests look at it. */
export interface Container {
  readonly name: string;
  readonly image: string;
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
  readonly envFrom?: readonly {
    readonly secretRef?: { readonly name: string };
    readonly configMapRef?: { readonly name: string };
  }[];
  readonly securityContext?: Readonly<Record<string, unknown>>;
  readonly startupProbe?: Probe;
  readonly livenessProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly resources?: { readonly requests?: object; readonly limits?: object };
}

/** How the kubelet asks. */
export interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string };
}

/** A pod's template. */
export interface PodTemplate {
  readonly metadata: { readonly labels: Record<string, string>; readonly annotations?: Record<string, string> };
  readonly spec: {
    readonly containers: readonly Container[];
    readonly initContainers?: readonly Container[];
    readonly securityContext: Readonly<Record<string, unknown>>;
    readonly automountServiceAccountToken: boolean;
    readonly terminationGracePeriodSeconds?: number;
  };
}

/** Any object of the cluster. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec: {
    readonly template?: PodTemplate;
    readonly selector?: { readonly matchLabels?: Record<string, string> };
    readonly podSelector?: { readonly matchLabels?: Record<string, string> };
    readonly scaleTargetRef?: { readonly kind: string; readonly name: string };
    readonly metrics?: readonly { readonly external?: { readonly metric: { readonly name: string } } }[];
    readonly ingress?: readonly { readonly ports: readonly { readonly port: number }[] }[];
    readonly egress?: readonly { readonly ports: readonly { readonly port: number }[] }[];
  };
  readonly data?: Readonly<Record<string, string>>;
  readonly stringData?: Readonly<Record<string, string>>;
}

/** All objects of deploy/kubernetes, with the file that each is in; kustomize's and Helm's own files left out. */
export async function readManifests(): Promise<(Manifest & { readonly file: string })[]> {
  const files = (await deployFiles('kubernetes', '.yaml')).filter(
    (file) => !/kustomization|prometheus-adapter/u.test(file),
  );
  const documents = await Promise.all(
    files.map(async (file) => (await deployYaml<Manifest>(file)).map((manifest) => Object.assign(manifest, { file }))),
  );
  return documents.flat();
}

/** The pods of a manifest's part, `api`, `worker` or `migrate`, which is in the worker's. */
export async function podOf(part: string): Promise<PodTemplate> {
  const found = (await readManifests()).find(
    ({ metadata, spec }) => metadata.name === `spillway-${part === 'migrate' ? 'worker' : part}` && spec?.template,
  );
  if (found?.spec.template === undefined) throw new Error(`no pods of ${part}`);
  return found.spec.template;
}

/** What Grafana shows in one place. */
export interface Panel {
  readonly id: number;
  readonly title: string;
  readonly type: string;
  readonly datasource: { readonly type: string; readonly uid: string };
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets: readonly {
    readonly expr?: string;
    readonly rawSql?: string;
    readonly datasource: { readonly uid: string };
  }[];
}

/** A page of them. */
export interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly panels: readonly Panel[];
}

/** All that deploy/ has. */
export async function readDashboards(): Promise<Dashboard[]> {
  const files = await deployFiles('grafana/dashboards', '.json');
  return Promise.all(files.map(async (file) => JSON.parse(await deployText(file)) as Dashboard));
}

/** As Grafana would send it for the last six hours, with its macros written out. */
export function withoutMacros(text: string): string {
  return text
    .replaceAll(/\$__timeFilter\(([^)]+)\)/gu, "$1 BETWEEN now() - interval '6 hours' AND now() + interval '1 minute'")
    .replaceAll('$__rate_interval', '1m');
}
