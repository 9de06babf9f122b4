import { type ApiCalls, ApiFault, RefusedRequest } from '@spillway/redis/core';
import type { Action, MachineConfig, View } from '../machine/record.ts';
import type { BreakerId, WireReply } from '../store/store.ts';

/*
 * What stores over HTTP and the API say to each other.
 *
 * POST /v1/breakers/commands  { instance, commands: SentCommand[] }  ->  { answers: CommandAnswer[] }, in their order
 * POST /v1/breakers/news      { breakers: SentView[], seen }         ->  News
 */

/** Most commands in one request. */
export const MOST_COMMANDS = 32;
/** Most breakers in one question for news. */
export const MOST_BREAKERS = 500;

/** A command to one breaker. Its chance is drawn by the API. */
export interface SentCommand extends BreakerId {
  readonly config: MachineConfig;
  readonly known: View;
  readonly action: Action;
}

/** The result of a command. `unavailable`: the API's Redis did not answer; `unsent`: it was not carried out. */
export type CommandAnswer = WireReply | { readonly unavailable: 'unsent' | 'unanswered' };

/** What a process knows of a breaker. */
export interface SentView extends BreakerId, Pick<View, 'epoch' | 'alertUntilMs'> {}

/** Breakers that may have changed, and breakers whose state is not available, by their places in the question. */
export interface News {
  readonly changed: readonly number[];
  readonly unreachable: readonly number[];
  /** Per shard, the last change reported. It is sent with the next question. */
  readonly seen: Readonly<Record<string, string>>;
}

/** A command that waits for its answer. */
interface Waiting {
  readonly instance: string;
  readonly command: SentCommand;
  /** By the monotonic clock. */
  readonly askedAt: number;
  resolve(answer: unknown): void;
  reject(error: unknown): void;
}

/** What {@link commandTrips} are made with. */
export interface CommandTripsOptions {
  readonly calls: ApiCalls;
  /** How long commands are gathered while others are under way, in ms; 0: those of one turn of the microtasks only. */
  readonly gatherMs: number;
  /** Makes the error of commands that have no answer. `sent`: they may have been carried out. */
  readonly unavailable: (error: unknown, sent: boolean) => Error;
}

/** Sends a command of a process and gives its answer, unread. */
export type AskCommand = (instance: string, command: SentCommand) => Promise<unknown>;

/**
 * Gathers commands: those of one turn share a trip, and while one is under way those of `gatherMs`. One that the API refuses
 * keeps it from carrying out any of its trip: then each goes by itself.
 */
export function commandTrips({ calls, gatherMs, unavailable }: CommandTripsOptions): AskCommand {
  let waiting: Waiting[] = [];
  let underWay = 0;
  let flushComes = false;

  function flush(): void {
    flushComes = false;
    const all = waiting;
    waiting = [];
    for (const instance of new Set(all.map((each) => each.instance))) {
      const own = all.filter((each) => each.instance === instance);
      for (let at = 0; at < own.length; at += MOST_COMMANDS) void send(own.slice(at, at + MOST_COMMANDS));
    }
  }

  async function send(batch: readonly Waiting[]): Promise<void> {
    const [first] = batch;
    if (first === undefined) return;
    let sent = false;
    underWay += 1;
    try {
      const body = { instance: first.instance, commands: batch.map(({ command }) => command) };
      const answer = await calls.post('/v1/breakers/commands', body, first.askedAt, () => (sent = true));
      const answers = answersIn(answer, batch.length);
      for (const [index, one] of batch.entries()) one.resolve(answers[index]);
    } catch (error) {
      if (error instanceof RefusedRequest && batch.length > 1) for (const one of batch) void send([one]);
      else for (const one of batch) one.reject(unavailable(error, sent));
    } finally {
      underWay -= 1;
    }
  }

  return (instance, command) =>
    new Promise((resolve, reject) => {
      waiting.push({ instance, command, askedAt: performance.now(), resolve, reject });
      if (flushComes) return;
      flushComes = true;
      if (underWay === 0 || gatherMs === 0) queueMicrotask(flush);
      else setTimeout(flush, gatherMs);
    });
}

/** @throws {ApiFault} unless there are exactly `count`. */
function answersIn(answer: unknown, count: number): readonly unknown[] {
  const list: unknown = typeof answer === 'object' && answer !== null ? Reflect.get(answer, 'answers') : undefined;
  if (!Array.isArray(list) || list.length !== count) throw new ApiFault('client_error', 'answers');
  return list;
}
