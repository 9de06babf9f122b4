import { profiles } from '../profile.ts';
import type { Report } from './report.ts';

/** The heading: what was tested, and the verdict. */
export function headline({ profile, passed }: Report): string {
  return `Scale test: ${profiles[profile].title}, ${passed ? 'passed' : 'FAILED'}`;
}

/** How many rows passed. */
export function verdictText({ capacity, checks }: Report): string {
  const rows = [...capacity, ...checks];
  const passed = rows.filter((row) => row.passed).length;
  return passed === rows.length
    ? `All ${rows.length} rows passed`
    : `${rows.length - passed} of ${rows.length} rows FAILED`;
}

/** What happens in a run, for a reader who has never seen one. */
export const introText: string =
  'Connected users generate, read and sign in at the rates of the profile, and one in a hundred floods. Meanwhile an API process and a ' +
  'worker are killed with SIGKILL, the provider that generates fails for a while, and in the end the load doubles until the machine ' +
  'gives no more. What each user was answered is then compared with the limits, and with the rows in Postgres.';

/** When, where, on what. */
export function circumstances({ date, machine, durationMs, fleet }: Report): string {
  return `${date.slice(0, 10)}, ${machine}. ${durationMs / 1_000} s of load on ${fleet}.`;
}

/** How far the ramp went. */
export function peakText({ peak }: Report): string {
  const { requestsPerSecond, generationsPerHour, factor, endedBy } = peak;
  const requests = requestsPerSecond.toLocaleString('en');
  const generations = generationsPerHour.toLocaleString('en');
  return (
    `In its best seconds the fleet answered ${requests} requests a second and served generations at ${generations} an hour. ` +
    `The ramp went to ${factor} times the profile's rates and ended because ${endedBy}.`
  );
}

/** What the latencies are counted from. */
export const latencyText: string =
  'In ms, from the moment for which a request was intended, so that a stall counts for everybody who had to wait ' +
  '(corrected for coordinated omission); in parentheses from when it was sent. Floods of abusers are not in it.';

/** How the ledger can be sure. */
export const ledgerText: string =
  'The load generator keeps a ledger of when each request was sent and when its answer came. Redis decided in between, by ' +
  'the same clock. An answer counts as wrong when no moment of decision between the two would make it right, so slowness ' +
  'never makes a right answer wrong; and since a user has one request under way at a time, a limit that is not accused ' +
  'has a possible history without a fault.';
