import type { FastifyInstance } from 'fastify';
import type { Ledger } from 'jetledger';

/** Routes of one aggregate: added to the app with the ledger that they work on. */
export type RouteModule = (app: FastifyInstance, ledger: Ledger) => void;
