import { parseArgs } from 'node:util';
import { isProfileName, MAX_DURATION_MS, MIN_DURATION_MS, type ProfileName } from './plan.ts';

/** What the command line asks for. */
export type Command =
  | {
      readonly kind: 'run';
      readonly profile: ProfileName;
      readonly durationMs: number;
      /** Whether Redis is a Cluster of three masters. */
      readonly cluster: boolean;
      /** Whether the load stays the profile's, and what is held is compared. */
      readonly soak: boolean;
      /** Whether the report goes to stdout as JSON. */
      readonly json: boolean;
      /** Where the report's files go; undefined = nowhere. */
      readonly out: string | undefined;
    }
  | { readonly kind: 'help' }
  | { readonly kind: 'mistake'; readonly message: string };

/** What `--help` prints. */
export const usage: string = `Runs a fleet on this machine, simulates its users, and compares their answers with what is stored.

  npx pnpm@12 scale-test [--profile free|pro|scale] [--duration 60s] [--cluster] [--soak] [--json] [--out DIR]

  --profile   how many users and generations an hour, by the guide's capacity table (free)
  --duration  how long users send requests, ${MIN_DURATION_MS / 1_000}s to ${MAX_DURATION_MS / 60_000}m (60s); start and verification come on top
  --cluster   Redis is a Cluster of three masters
  --soak      the profile's load all the time (30m), and whether memory, handles, keys and connections end where they began
  --json      the report as JSON on stdout; progress goes to stderr
  --out       writes report.html, report.md and report.json into this directory
  --help      this text

Ends with 0 when every row passed, with 1 when one failed, with 2 when it could not run to its end.
Ctrl-C and SIGTERM end it at once, with 130 and 143, and nothing that it started stays.
`;

/** Reads the arguments after the program's name. */
export function parseCommand(args: readonly string[]): Command {
  const given = args[0] === '--' ? args.slice(1) : [...args];
  try {
    const { values } = parseArgs({
      args: given,
      options: {
        profile: { type: 'string', default: 'free' },
        duration: { type: 'string' },
        cluster: { type: 'boolean', default: false },
        soak: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        out: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (values.help) return { kind: 'help' };
    if (!isProfileName(values.profile)) return mistake('--profile', values.profile, 'free, pro or scale');
    const { duration = values.soak ? '30m' : '60s' } = values;
    const durationMs = parseDuration(duration);
    if (durationMs === undefined || durationMs < MIN_DURATION_MS || durationMs > MAX_DURATION_MS) {
      return mistake('--duration', duration, `${MIN_DURATION_MS / 1_000}s to ${MAX_DURATION_MS / 60_000}m`);
    }
    if (values.out === '') return mistake('--out', values.out, 'a directory');
    return {
      kind: 'run',
      profile: values.profile,
      durationMs,
      cluster: values.cluster,
      soak: values.soak,
      json: values.json,
      out: values.out,
    };
  } catch (error) {
    return { kind: 'mistake', message: error instanceof Error ? error.message : String(error) };
  }
}

function mistake(option: string, value: string, expected: string): Command {
  return { kind: 'mistake', message: `${option} must be ${expected}, not ${JSON.stringify(value)}` };
}

const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

function parseDuration(text: string): number | undefined {
  const match = /^(\d{1,9})(ms|s|m|h)$/.exec(text);
  const unit = unitsMs[match?.[2] ?? ''];
  return match === null || unit === undefined ? undefined : Number(match[1]) * unit;
}
