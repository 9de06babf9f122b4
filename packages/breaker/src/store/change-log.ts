import { shardOf } from '@spillway/redis/core';
import { breakerKey, type Known, type PollAnswer } from './store.ts';

/** What one line of a change log tells. */
interface News {
  readonly epoch: number;
  readonly alertUntilMs: number;
}

/**
 * The breakers of a shard for which its change log has news. breaker-record.lua describes its format (key `pulse`).
 * @param before the change log's first line at the last look; undefined: this is the first
 */
export function withNews<K extends Known>(
  known: readonly K[],
  changeLog: string,
  before: string | undefined,
): readonly K[] {
  // Pulses don't expire: without one the shard was emptied, perhaps more than once, or never used.
  if (changeLog === '') return known.filter(({ view }) => view.epoch > 0);
  const lines = changeLog.split('\n');
  const at = before === undefined || before === '' ? -1 : lines.indexOf(before);
  // The first look; or too much has happened since, or the shard was emptied or has gone back.
  if (at < 0) return known;
  const news = newsOf(lines.slice(0, at));
  return known.filter(({ id, view }) => {
    const of = news.get(breakerKey(id));
    return of !== undefined && (of.epoch !== view.epoch || of.alertUntilMs > view.alertUntilMs);
  });
}

function firstLineOf(changeLog: string): string {
  const end = changeLog.indexOf('\n');
  return end < 0 ? changeLog : changeLog.slice(0, end);
}

/** By breaker; of several lines about one the first, which is the newest. */
function newsOf(lines: readonly string[]): ReadonlyMap<string, News> {
  const news = new Map<string, News>();
  for (const line of lines) {
    const [, epoch, alertUntilMs, ...key] = line.split(' ');
    const breaker = key.join(' ');
    if (!news.has(breaker)) news.set(breaker, { epoch: Number(epoch), alertUntilMs: Number(alertUntilMs) });
  }
  return news;
}

/** Asks change logs about breakers. */
export class ChangeLog {
  readonly #shards: number;
  readonly #read: (shards: readonly number[]) => Promise<ReadonlyMap<number, string>>;

  /** @param read gives change logs by shard; without those of shards that don't answer */
  constructor(shards: number, read: (shards: readonly number[]) => Promise<ReadonlyMap<number, string>>) {
    this.#shards = shards;
    this.#read = read;
  }

  /** @param seen the first lines of change logs at the last look, by shard; it is set to those of this one */
  async poll<K extends Known>(known: readonly K[], seen: Map<number, string>): Promise<PollAnswer<K>> {
    const answer: { changed: K[]; unreachable: K[] } = { changed: [], unreachable: [] };
    if (known.length === 0) return answer;
    const byShard = groupedByShard(known, this.#shards);
    const read = await this.#read([...byShard.keys()]);
    for (const [shard, members] of byShard) {
      const changeLog = read.get(shard);
      if (changeLog === undefined) {
        answer.unreachable.push(...members);
        continue;
      }
      answer.changed.push(...withNews(members, changeLog, seen.get(shard)));
      seen.set(shard, firstLineOf(changeLog));
    }
    return answer;
  }
}

function groupedByShard<K extends Known>(known: readonly K[], shards: number): ReadonlyMap<number, K[]> {
  const grouped = new Map<number, K[]>();
  for (const each of known) {
    const shard = shardOf(breakerKey(each.id), shards);
    const members = grouped.get(shard);
    if (members === undefined) grouped.set(shard, [each]);
    else members.push(each);
  }
  return grouped;
}
