import Type from 'typebox';
import { Position, Sku, Version } from './common.ts';
import { CreateProduct, ReceiveStock } from './product.ts';

const strict = { additionalProperties: false } as const;

/** The most items of one batch. */
export const MAX_BATCH_ITEMS = 1_000;

const bounds = {
  minItems: 1,
  maxItems: MAX_BATCH_ITEMS,
  description: 'Each SKU once.',
};

export const CreateProducts = Type.Object(
  { products: Type.Array(CreateProduct, bounds) },
  { ...strict, $id: 'CreateProducts' },
);

const Receipt = Type.Object({ sku: Sku, ...ReceiveStock.properties }, strict);

export const ReceiveReceipts = Type.Object(
  { receipts: Type.Array(Receipt, bounds) },
  { ...strict, $id: 'ReceiveReceipts' },
);

const Answered = Type.Object(
  {
    sku: Sku,
    status: Type.Integer({
      minimum: 200,
      maximum: 599,
      description: 'As the item alone would have been answered; from 400 on with a problem.',
    }),
    version: Type.Optional(Version),
    position: Type.Optional(Position),
    problem: Type.Optional(Type.Unsafe<object>({ $ref: 'Problem#' })),
  },
  strict,
);

/** What became of each item. */
export const BatchAnswer = Type.Object(
  { items: Type.Array(Answered, { description: 'In the order in which they were sent.' }) },
  { ...strict, $id: 'BatchAnswer', title: 'What became of each item of a batch' },
);
export type AnsweredItem = Type.Static<typeof Answered>;
