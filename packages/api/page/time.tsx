import type { JSX } from 'preact';
import { local, relative, roughly, utc } from './format.ts';

/** A moment where the reader is, with UTC under the pointer. */
export function Moment({ atMs }: { readonly atMs: number }): JSX.Element {
  return (
    <time dateTime={new Date(atMs).toISOString()} title={utc(atMs)}>
      {local(atMs)}
    </time>
  );
}

/** How far away a moment is, with the moment itself under the pointer: where the reader is, and in UTC. */
export function Away({ atMs, nowMs }: { readonly atMs: number; readonly nowMs: number }): JSX.Element {
  return (
    <time dateTime={new Date(atMs).toISOString()} title={`${local(atMs)} (${utc(atMs)})`}>
      {relative(atMs, nowMs)}
    </time>
  );
}

/** For how long something has been so, with its begin under the pointer. */
export function Since({ atMs, nowMs }: { readonly atMs: number; readonly nowMs: number }): JSX.Element {
  return (
    <time dateTime={new Date(atMs).toISOString()} title={`since ${local(atMs)} (${utc(atMs)})`}>
      {roughly(nowMs - atMs)}
    </time>
  );
}
