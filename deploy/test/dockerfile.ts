import { deployText } from './deploy-file.ts';

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
