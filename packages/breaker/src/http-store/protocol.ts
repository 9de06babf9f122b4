import type { Action, MachineConfig, View } from '../machine/record.ts';
import type { WireReply } from '../store/reply.ts';
import type { BreakerId } from '../store/store.ts';

/*
 * What stores over HTTP and the API say to each other.
 *
 * POST /v1/breakers/commands  { instance, commands: SentCommand[] }  ->  { answers: CommandAnswer[] }, in their order
 * POST /v1/breakers/news      { breakers: SentView[], seen }         ->  News
 */

/** Most commands in one trip, and most breakers in one question for news. */
export const MOST_COMMANDS = 32;
export const MOST_BREAKERS = 500;

/** A command to one breaker. Its chance is drawn by the API. */
export interface SentCommand extends BreakerId {
  readonly config: MachineConfig;
  readonly known: View;
  readonly action: Action;
}

/** What became of a command. `unavailable`: the API's Redis did not answer; `unsent`: it was not carried out. */
export type CommandAnswer = WireReply | { readonly unavailable: 'unsent' | 'unanswered' };

/** What a process knows of a breaker. */
export interface SentView extends BreakerId, Pick<View, 'epoch' | 'alertUntilMs'> {}

/** Which of the breakers may have changed, and of which nothing could be heard: their places in the question. */
export interface News {
  readonly changed: readonly number[];
  readonly unreachable: readonly number[];
  /** By shard, up to where its news were told. It is sent back with the next question. */
  readonly seen: Readonly<Record<string, string>>;
}
