// One story for all examples of the document: Ada registers, the shop lists a tea and takes fifty in, Ada orders two.
// `test/api/examples.test.ts` sends them and compares the answers.

/** The user of the examples. */
export const USER_ID = '0198c5a4-6c1e-7c7f-9d8e-0d9f2b1c3a4e';
/** The order of the examples. */
export const ORDER_ID = '0198c5a4-9b2d-7a51-8c3b-5e6f70819203';
/** When everything in the examples happens. */
export const EXAMPLE_TIME = '2026-01-15T09:30:00.000Z';

const place = { version: 42, position: 42 };

/** The user as commands answer. */
export const ada = {
  id: USER_ID,
  email: 'ada@example.com',
  name: 'Ada Lovelace',
  status: 'active',
  ...place,
};

/** The product as commands answer, before there is any. */
export const tea = {
  sku: 'TEA-EARL-GREY-100',
  name: 'Earl Grey, 100 g',
  price: { amountMinor: 1290, currency: 'EUR' },
  status: 'listed',
  onHand: 0,
  reserved: 0,
  available: 0,
  ...place,
};

const items = [{ sku: tea.sku, quantity: 2 }];
/** What the order costs. */
export const total = { amountMinor: 2580, currency: 'EUR' };

/** What the client says of the order besides. */
const said = { externalReference: 'PO-2026-0042', metadata: { channel: 'web' } };
const pairs = { pairs: [{ key: 'channel', value: 'web' }] };

/** The order as commands answer. @param status in which a command leaves it */
export const orderIs = (status: string) => ({
  id: ORDER_ID,
  userId: USER_ID,
  status,
  lines: items,
  total,
  ...said,
  ...place,
});

/** What is sent to place the order. */
export const toOrder = { userId: USER_ID, lines: items, payment: { token: 'tok_success' }, ...said };

/** The order as the read model shows it, confirmed. */
export const confirmed = {
  id: ORDER_ID,
  userId: USER_ID,
  status: 'confirmed',
  payment: { status: 'captured', id: 'pay-1', dueAt: '2026-01-15T09:45:00.000Z' },
  lines: [
    {
      sku: tea.sku,
      name: tea.name,
      quantity: 2,
      unitPrice: tea.price,
      lineTotal: total,
      unitPriceMinor: 1290,
      lineTotalMinor: 2580,
    },
  ],
  total,
  ...said,
  placedAt: EXAMPLE_TIME,
  timeline: [
    'OrderPlaced',
    'CustomerValidated',
    'OrderStockReserved',
    'PaymentAuthorised',
    'PaymentCaptured',
    'OrderConfirmed',
  ].map((type) => ({ type, at: EXAMPLE_TIME })),
  version: 42,
};

/** The first entry of the order's history, as clients have known it first. */
export const placedPayload = {
  orderId: ORDER_ID,
  userId: USER_ID,
  lines: [{ sku: tea.sku, name: tea.name, quantity: '2', unitPriceMinor: '1290', lineTotalMinor: '2580' }],
  currency: 'EUR',
  totalMinor: '2580',
  placedAt: '1768469400000',
  paymentToken: '***',
  paymentDueAt: '1768470300000',
  externalReference: said.externalReference,
  metadata: pairs,
};

const { sku, name, price } = tea;

/** Values in the events of the order, by the names of their fields. */
export const orderFields = {
  orderId: ORDER_ID,
  userId: USER_ID,
  sku,
  name,
  quantity: 2,
  unitPrice: price,
  lineTotal: total,
  total,
  amount: total,
  paymentDueAt: '2026-01-15T09:45:00.000Z',
  paymentId: 'pay-1',
  tracking: '00340434161094042557',
  externalReference: said.externalReference,
  metadata: pairs,
};

/** Values in the events of the user. */
export const userFields = { userId: USER_ID, email: ada.email, name: ada.name };

/** Values in the events of the product. */
export const productFields = { sku, name, price, orderId: ORDER_ID, onHand: 50, quantity: 2, reserved: 2 };
