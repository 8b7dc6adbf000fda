import type { TSchema } from 'typebox';
import type { ServiceDeps } from './deps.ts';
import type { TypedApp } from './routes/app-type.ts';

/** Routes that belong together, and what the OpenAPI document has to know of them: one entry of the service's list. */
export interface ApiModule {
  /** The tag of its operations, where the module brings one of its own. */
  readonly tag?: { readonly name: string; readonly description: string };
  /** The schemas that routes name by `$ref`; one that nobody lists stops the start. */
  readonly components: readonly TSchema[];
  /** Adds the routes. */
  routes(app: TypedApp, deps: ServiceDeps): void;
}
