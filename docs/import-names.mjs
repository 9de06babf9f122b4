import { Converter, ReflectionKind } from 'typedoc';

/**
 * Names each page by what a reader imports, `@spillway/limiter/hono`, instead of by the folder of the source,
 * `limiter/src/hono`. A plugin of TypeDoc.
 * @param {import('typedoc').Application} app
 */
export function load(app) {
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, (context) => {
    for (const module of context.project.getReflectionsByKind(ReflectionKind.Module)) {
      module.name = module.name.replace(/^([a-z]+)\/src/u, '@spillway/$1');
    }
  });
}
