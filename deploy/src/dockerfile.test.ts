import { expect, it } from 'vitest';
import { readStages, commandOf, environmentOf, last } from '../test/dockerfile.ts';
import { deployText } from '../test/deploy-file.ts';
import { variablesOf } from '../test/variables.ts';

const images = ['api', 'worker', 'migrate'] as const;

it.each(images)(
  '%s runs as a user by number who is not root, from a pinned image, without the build in it',
  async (name) => {
    const stages = await readStages();
    const stage = stages.get(name);
    expect(last(stage, 'USER')).toMatch(/^[1-9]\d*:[1-9]\d*$/u);
    expect(stage?.from).toMatch(/^node:\d+\.\d+\.\d+-alpine\d+\.\d+@sha256:[\da-f]{64}$/u);
    expect(stage?.steps.filter(([step]) => step === 'COPY')).toEqual([['COPY', '--from=build /app ./']]);
  },
);

it('builds with the pnpm of package.json', async () => {
  const { packageManager } = JSON.parse(await deployText('../package.json')) as { packageManager: string };
  expect(await deployText('Dockerfile')).toContain(`npm install --global ${packageManager}\n`);
});

it.each(['api', 'worker'] as const)(
  '%s exposes the port that it listens on and that its health check asks',
  async (name) => {
    const stage = (await readStages()).get(name);
    const environment = environmentOf(stage);
    const port = environment[name === 'api' ? 'PORT' : 'WORKER_HTTP_PORT'];
    expect(last(stage, 'EXPOSE')).toBe(port);
    expect(commandOf(stage, 'HEALTHCHECK').at(-1)).toBe(`http://127.0.0.1:${port}/healthz`);
    expect(environment[name === 'api' ? 'HOST' : 'WORKER_HTTP_HOST']).toBe('0.0.0.0');
    const known = new Set([...(await variablesOf(`packages/${name}/src/config.ts`)), 'NODE_ENV', 'NODE_OPTIONS']);
    expect(Object.keys(environment).filter((variable) => !known.has(variable))).toEqual([]);
  },
);

it.each(['api', 'worker'] as const)('%s runs with the flags of its start script', async (name) => {
  const { scripts } = JSON.parse(await deployText(`../packages/${name}/package.json`)) as {
    scripts: { start: string };
  };
  const stage = (await readStages()).get(name);
  const flags = [...(environmentOf(stage)['NODE_OPTIONS']?.split(' ') ?? []), ...commandOf(stage, 'CMD')].filter(
    (part) => part.startsWith('--'),
  );
  expect(flags).toEqual(scripts.start.split(' ').filter((part) => part.startsWith('--')));
});

it('leaves out of the build what a checkout holds besides', async () => {
  const ignored = (await deployText('Dockerfile.dockerignore')).split('\n');
  expect(ignored).toEqual(expect.arrayContaining(['**/node_modules', '**/dist', '.git', '**/.env', '**/.data']));
});
