import { type Breaker, BreakerInputError, type BreakerSnapshot, type Breakers } from '@spillway/breaker';
import { type BreakerOverview, breakerOverview, type Queryable } from '@spillway/db';
import { badRequestProblem, problemException, unknownThingProblem } from '../problems.ts';

/** Failures and openings are counted over so long. */
const DAY_MS = 86_400_000;

/** Where breakers are read: the trail lists them, the control reads their states. */
export interface BreakerSources {
  readonly db: Queryable;
  readonly control: BreakerControl;
}

/** Every breaker that has left an event, with what happened to it in a day. */
export async function knownBreakers({ db }: BreakerSources): Promise<readonly BreakerOverview[]> {
  return breakerOverview(db, DAY_MS);
}

/** Whether the breaker has left an event. */
export async function isInTrail(
  places: BreakerSources,
  { name, preset }: Pick<Breaker, 'name' | 'preset'>,
): Promise<boolean> {
  return (await knownBreakers(places)).some((known) => known.breakerName === name && known.preset === preset);
}

/** The current state of a known breaker: from Redis, or from the trail if its preset is known only to an application. */
export async function currentState(
  { control }: BreakerSources,
  known: BreakerOverview,
): Promise<Omit<BreakerSnapshot, 'state' | 'version'>> {
  let breaker: Breaker;
  try {
    breaker = control.get(known.breakerName, known.preset);
  } catch (error) {
    if (!(error instanceof BreakerInputError)) throw error;
    return stateFromEvents(known);
  }
  return breaker.read();
}

function stateFromEvents(known: BreakerOverview): Omit<BreakerSnapshot, 'state' | 'version'> {
  const { breakerName: name, preset, state, sinceMs, untilMs, reason } = known;
  const refuses = state !== 'closed' && state !== 'forced_closed';
  const refusesForMs = !refuses ? 0 : untilMs === null ? null : Math.max(0, Math.ceil(untilMs - Date.now()));
  const unknown = { epoch: 0, openings: 0, who: null, why: null };
  return { name, preset, fleetState: state, sinceMs, refusesForMs, reason, ...unknown, isStale: true };
}

/**
 * The breaker that a request names. One dependency may have a breaker under several presets, so the preset can be left out
 * only while the trail knows a single one.
 * @throws {HTTPException} that becomes a 400 or 404
 */
export async function findBreaker(places: BreakerSources, name: string, preset?: string): Promise<Breaker> {
  if (preset !== undefined) return places.control.get(name, preset);
  const found = (await knownBreakers(places)).filter(({ breakerName }) => breakerName === name);
  const [one, another] = found;
  if (one === undefined) throw problemException(unknownThingProblem('breaker'));
  if (another === undefined) return places.control.get(name, one.preset);
  const detail = `must say which: ${found.map((each) => each.preset).join(', ')}`;
  throw problemException(badRequestProblem([{ field: 'preset', detail }]));
}

/** What the API asks of the breakers. A change holds for the whole fleet. */
export type BreakerControl = Pick<Breakers, 'get'>;
