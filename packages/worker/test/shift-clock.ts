/** Makes this process believe that it is `offsetMs` later than it is. Timers stay as they are, as with a wrong wall clock. */
export function shiftClock(offsetMs: number): void {
  const now = Date.now.bind(Date);
  globalThis.Date = new Proxy(Date, {
    construct: (target, args: readonly unknown[], newTarget): object =>
      Reflect.construct(target, args.length === 0 ? [now() + offsetMs] : args, newTarget),
    get: (target, property) => (property === 'now' ? () => now() + offsetMs : Reflect.get(target, property, target)),
  });
}
