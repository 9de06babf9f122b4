import { compiled, type Program, startProgram as startMain } from '@spillway/local-servers/testing';

const mains = {
  api: await compiled(new URL('../src/main.ts', import.meta.url)),
  worker: await compiled(new URL('../../worker/src/main.ts', import.meta.url)),
};

/** Starts one of our programs as built, with no other variables than these. It is killed when its test is over. */
export const startProgram = (program: keyof typeof mains, env: Readonly<Record<string, string>>): Program =>
  startMain(mains[program], env);
