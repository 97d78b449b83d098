//! Taking up what people order. An order is recorded first, with its signatures, and that uses it up; then it is carried
//! out. A pass that ends in between is nothing new: what stands in the log and was not carried out comes first next time.

use artifact::Moment;
use artifact::digest::Base64;
use artifact::failure::{Failure, Retry};
use artifact::lane::LaneName;
use audit::entry::{Forgotten, Order, OrderSignature, Revocation};
use hardening::menu::Room;
use intake::door::{Answer, Ask, PulledOrder};
use policy::order::{Action, OrderError};

use crate::house::{House, Pass};
use crate::ledger::Ledger;
use crate::stage::{resign, rotate};
use crate::status::Status;

/// Carries out what was taken up, and takes up what lies in the folder. An order that does not count is said, and stops
/// nothing.
///
/// # Errors
/// The log can't be written, or is not what was recorded.
pub fn carry_out(pass: &Pass<'_>, ledger: &mut Ledger) -> Result<Status, Failure> {
    finish(pass.house, ledger)?;
    if pass.rules.orders().is_none() {
        rotate::pinned(ledger)?;
        return resign::sweep(pass.house, ledger);
    }
    let (orders, unusable) = match pull(pass.house) {
        Ok(pulled) => pulled,
        Err(failure) if failure.retry != Retry::Halt => return rotate::pinned(ledger).map(|()| Status::of(&failure)),
        Err(failure) => return Err(failure),
    };
    for what in &unusable {
        pass.house.timeline.line("order", &format!("order-unreadable: {what}"));
    }
    for order in orders {
        match judge(pass, ledger, &order) {
            Ok(taken) => {
                ledger.record(taken)?;
                pass.house.timeline.line("order", &format!("{}: taken up", order.name));
                finish(pass.house, ledger)?;
            }
            Err((code, why)) => pass.house.timeline.line("order", &format!("{code}: {}: {why}", order.name)),
        }
    }
    rotate::pinned(ledger)?;
    resign::sweep(pass.house, ledger)
}

/// The entry of an order that counts; a stable code and why, when it does not.
fn judge(pass: &Pass<'_>, ledger: &Ledger, pulled: &PulledOrder) -> Result<Order, (&'static str, String)> {
    let refused = |e: OrderError| (e.code(), e.to_string());
    let statement = &pulled.statement.0;
    // What was used up is said to be so, whatever else changed since.
    let nonce = policy::Order::parse(statement).map_err(refused)?.nonce;
    if let Some(index) = ledger.fold().people().used(&nonce) {
        return Err(("order-used", format!("its nonce was used up by entry {index}: take the files away")));
    }
    let (rules, now) = (pass.rules.digest(), Moment::now());
    let signatures: Vec<Vec<u8>> = pulled.signatures.iter().map(|s| s.0.clone()).collect();
    let by = pass.rules.orders().ok_or(("order-signers", "rules.toml has no [orders]".to_owned()))?;
    let (order, signed) = by.judge(statement, &signatures, (&LaneName::Public, &rules, now)).map_err(refused)?;
    ledger.fold().may(&order.action).map_err(|why| ("order-target", why))?;
    let signatures =
        signed.into_iter().map(|s| OrderSignature { principal: s.principal, signature: Base64(s.signature) }).collect();
    let taken = Order { statement: pulled.statement.clone(), signatures, at: now };
    match ledger.fold().order_fault(&taken) {
        Some(why) => Err(("order-target", why.to_owned())),
        None => Ok(taken),
    }
}

/// Carries out what was taken up: the entry that says so, and then the deed.
fn finish(house: &House, ledger: &mut Ledger) -> Result<(), Failure> {
    let standing: Vec<(u64, policy::Order)> =
        ledger.fold().people().standing().map(|(index, order)| (index, order.clone())).collect();
    for (order, says) in standing {
        let at = Moment::now();
        let text = match says.action {
            Action::Forget { indexes } => {
                let text = format!("the bodies of entries {indexes:?} are forgotten, by the order of entry {order}");
                ledger.record(Forgotten { order, indexes, at })?;
                text
            }
            Action::Revoke { digest } => {
                let text = format!("{digest} is revoked, by the order of entry {order}: {}", says.reason);
                ledger.record(Revocation { digest, order, reason: says.reason, at })?;
                text
            }
            // It stands while there is such a release: so many a pass.
            Action::Resign { .. } => continue,
            // One that was carried out a moment ago ends the others that were for the same key.
            Action::Rotate { .. } if ledger.fold().rotate_order(order).is_none() => continue,
            Action::Rotate { key, .. } => match rotate::rotate(house, ledger, order) {
                Ok(index) => format!(
                    "images are signed with key {} from entry {index} on, by the order of entry {order}",
                    key.id()
                ),
                // The signer's own list, or its key, says no: a person mends that, and promotions need not wait.
                Err(failure) if failure.retry == Retry::Never => failure.to_string(),
                Err(failure) => return Err(failure),
            },
        };
        house.timeline.line("order", &text);
    }
    let undeleted: Vec<u64> = ledger.fold().people().undeleted().collect();
    for forgotten in undeleted {
        match ledger.forget(forgotten) {
            Ok(()) => house.timeline.line("keeper", &format!("deleted what entry {forgotten} names")),
            // The keeper's own list says no: a person mends that, and promotions need not wait.
            Err(failure) if failure.retry == Retry::Never => house.timeline.line("order", &failure.to_string()),
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

fn pull(house: &House) -> Result<(Vec<PulledOrder>, Vec<String>), Failure> {
    let mut door = house.room(Room::Intake)?;
    door.send(&Ask::Orders)?;
    match door.receive()? {
        Answer::Orders { orders, unusable } => Ok((orders, unusable)),
        Answer::Failed(failure) => Err(failure),
        _ => Err(Failure::halt("intake-out-of-turn", "intake answered something else than was asked")),
    }
}
