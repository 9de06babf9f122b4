/** An object without the members that are undefined. */
export type OmitUndefined<Members> = Members extends unknown ? Present<Members> & Perhaps<Members> : never;

type Present<Members> = {
  readonly [Name in keyof Members as undefined extends Members[Name] ? never : Name]: Members[Name];
};
type Perhaps<Members> = {
  readonly [Name in keyof Members as undefined extends Members[Name] ? Name : never]?: Exclude<
    Members[Name],
    undefined
  >;
};

/** Leaves out what was left out: an optional query parameter is `undefined` to a schema, and absent to a function. */
export function omitUndefined<const Members extends object>(members: Members): OmitUndefined<Members>;
export function omitUndefined(members: object): object {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
}
