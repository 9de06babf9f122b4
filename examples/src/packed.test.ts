import { useRedis } from '@spillway/local-servers/testing';
import { afterAll, beforeAll, describe } from 'vitest';
import { consumersWork, toolsProject } from '../test/consumers-work.ts';
import { edgeRuntimesWork } from '../test/edge-runtimes-work.ts';
import { examplesWork } from '../test/examples-work.ts';
import { type InstalledProject, installTarballs, missingRegistry, type NpmProject } from '../test/npm-project.ts';
import { packageManagersWork } from '../test/package-managers-work.ts';
import { run, type RunExample } from '../test/run-example.ts';

const redis = useRedis();
let project: InstalledProject | undefined;
let tools: NpmProject | undefined;

function withTools(): NpmProject {
  if (tools === undefined) throw new Error('nothing is installed yet');
  return tools;
}

/** Runs what npm installed, with one Node or the other. */
const installed =
  (nodeOf: (from: InstalledProject) => string): RunExample =>
  (name, env) => {
    if (project === undefined) throw new Error('nothing is installed yet');
    return run(nodeOf(project), [project.file('@spillway/examples', `dist/${name}.js`)], env);
  };

const missing = await missingRegistry();
const why = missing === undefined ? '' : ` (skipped: ${missing})`;

describe.skipIf(missing !== undefined)(`what is packed${why}`, () => {
  beforeAll(async () => {
    project = await installTarballs();
    tools = await toolsProject(project.tarballs);
  }, 400_000);

  afterAll(async () => {
    await project?.remove();
    await tools?.remove();
  });

  describe('installed from tarballs', () => {
    describe('on this Node', () => {
      examplesWork({ redis, run: installed(() => process.execPath) });
    });
    describe('on Node 24', () => {
      examplesWork({ redis, run: installed(({ node24 }) => node24) });
    });
  });

  packageManagersWork(redis, () => project?.tarballs ?? {});
  consumersWork(redis, () => project?.tarballs ?? {}, withTools);
  edgeRuntimesWork(redis, withTools);
});
