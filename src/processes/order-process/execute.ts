import { PAYMENT_DEADLINE } from './deadline.ts';
import type { OrderEffect } from './effects.ts';
import { notify } from './notify.ts';
import type { Occasion } from './occasion.ts';
import { authorisePayment, capturePayment, returnPayment } from './payment.ts';
import { releaseStock, reserveStock, shipStock } from './stock.ts';

/**
 * Does what an effect says. Safe to repeat at any time and by any worker, also by one that comes late.
 * @throws what the ports throw, CommandConflict, ProcessFault
 */
export async function execute(effect: OrderEffect, occasion: Occasion): Promise<void> {
  const { orderId, deps } = occasion;
  switch (effect.type) {
    case 'validate-customer':
      return validateCustomer(effect.userId, occasion);
    case 'reserve-stock':
      return reserveStock(effect.items, occasion);
    case 'authorise-payment':
      return authorisePayment(effect, occasion);
    case 'capture-payment':
      return capturePayment(occasion);
    case 'release-stock':
      return releaseStock(effect.items, occasion);
    case 'return-payment':
      return returnPayment(occasion);
    case 'ship-stock':
      return shipStock(effect.items, occasion);
    case 'arm-deadline':
      return deps.timers.arm({ kind: PAYMENT_DEADLINE, id: orderId, at: effect.at });
    case 'disarm-deadline':
      return deps.timers.disarm(PAYMENT_DEADLINE, orderId);
    case 'notify':
      return notify(effect.kind, occasion);
  }
}

const UNFIT = {
  unknown: ['customer/unknown', 'There is no such customer.'],
  deactivated: ['customer/deactivated', "The customer's account is deactivated."],
} as const;

async function validateCustomer(userId: string, occasion: Occasion): Promise<void> {
  const { position, deps, report, reject } = occasion;
  const purpose = 'validate-customer';
  const status = await deps.directory.customer(userId, position);
  if (status === 'active') {
    return report(purpose, { type: 'recordCustomerValidated', directoryPosition: position });
  }
  const [code, reason] = UNFIT[status];
  return reject(purpose, 'customer_validation', code, reason);
}
