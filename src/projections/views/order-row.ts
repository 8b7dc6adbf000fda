import { exactNumber } from './json.ts';

interface OrderLineRow {
  readonly sku: string;
  readonly name: string;
  readonly quantity: number;
  readonly unitPriceMinor: number;
  readonly lineTotalMinor: number;
}

/** An order as the API serves it. */
export interface OrderRow {
  readonly id: string;
  readonly userId: string;
  readonly status: 'placed' | 'confirmed' | 'rejected' | 'cancelled' | 'shipped' | 'delivered';
  /** What a placed order waits for, or where a rejected one failed. */
  readonly step?: string;
  /** Why it was rejected or cancelled. */
  readonly reason?: { readonly code: string; readonly text: string };
  readonly payment: {
    readonly status: 'open' | 'authorised' | 'captured' | 'cancelled' | 'refunded';
    /** The provider's. */
    readonly id?: string;
    readonly dueAt: string;
  };
  readonly lines: readonly OrderLineRow[];
  readonly total: { readonly amountMinor: number; readonly currency: string };
  readonly tracking?: string;
  readonly placedAt: string;
  /** `traceId` is of the request or message that made it happen, where that was traced. */
  readonly timeline: readonly { readonly type: string; readonly at: string; readonly traceId?: string }[];
  readonly version: number;
}

/** The lines of an `OrderPlaced` as JSON. @throws RangeError for an amount that JSON cannot hold exactly */
export function linesOf(
  lines: readonly {
    sku: string;
    name: string;
    quantity: bigint;
    unitPriceMinor: bigint;
    lineTotalMinor: bigint;
  }[],
): readonly OrderLineRow[] {
  return lines.map(({ sku, name, quantity, unitPriceMinor, lineTotalMinor }) => ({
    sku,
    name,
    quantity: exactNumber(quantity),
    unitPriceMinor: exactNumber(unitPriceMinor),
    lineTotalMinor: exactNumber(lineTotalMinor),
  }));
}

const string = { type: 'string' };
const integer = { type: 'integer' };
const time = { type: 'string', format: 'date-time' };

function object(properties: Readonly<Record<string, object>>, optional: readonly string[] = []) {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: 'object', required, additionalProperties: false, properties };
}

/** JSON schema of `OrderRow`. */
export const orderRowSchema = object(
  {
    id: string,
    userId: string,
    status: { enum: ['placed', 'confirmed', 'rejected', 'cancelled', 'shipped', 'delivered'] },
    step: string,
    reason: object({ code: string, text: string }),
    payment: object(
      {
        status: { enum: ['open', 'authorised', 'captured', 'cancelled', 'refunded'] },
        id: string,
        dueAt: time,
      },
      ['id'],
    ),
    lines: {
      type: 'array',
      items: object({
        sku: string,
        name: string,
        quantity: integer,
        unitPriceMinor: integer,
        lineTotalMinor: integer,
      }),
    },
    total: object({ amountMinor: integer, currency: string }),
    tracking: string,
    placedAt: time,
    timeline: { type: 'array', items: object({ type: string, at: time, traceId: string }, ['traceId']) },
    version: integer,
  },
  ['step', 'reason', 'tracking'],
);
