/*
 * Makes the process into which it is imported believe that it is as many days later as its last argument says; a negative number
 * is earlier. Timers stay as they are, as with a wrong wall clock.
 */
const offsetMs = Number(process.argv.at(-1)) * 86_400_000;
const now = Date.now.bind(Date);
globalThis.Date = new Proxy(Date, {
  construct: (target, args: readonly unknown[], newTarget): object =>
    Reflect.construct(target, args.length === 0 ? [now() + offsetMs] : args, newTarget),
  get: (target, property) => (property === 'now' ? () => now() + offsetMs : Reflect.get(target, property, target)),
});
