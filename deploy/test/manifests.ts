import { deployFiles, deployYaml } from './deploy-file.ts';

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
