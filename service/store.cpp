#include "service/store.h"

#include <future>

namespace zgoda::service {
namespace {

void require_done(const CommitResult& result) {
    switch (result.commit) {
        case Commit::done:
            return;
        case Commit::failed:
            std::rethrow_exception(result.error);
        case Commit::busy:
            throw StorageError("the database's queue is full; try again");
        case Commit::too_late:
            throw StorageError("the database was too slow to take this; try again");
        case Commit::disk_full:
            throw StorageError("the disk is full; nothing was written");
        case Commit::broken:
            throw StorageError("the database could not be written and is closed");
    }
}

}  // namespace

// The store's thread may still be leaving set_value() when the wait is over: the promise belongs to both.
void run(Store& store, Store::Work work) {
    const auto promise = std::make_shared<std::promise<CommitResult>>();
    store.submit(std::move(work), [promise](CommitResult result) { promise->set_value(std::move(result)); });
    require_done(promise->get_future().get());
}

void look(Store& store, Store::Query query) {
    const auto promise = std::make_shared<std::promise<CommitResult>>();
    store.read(std::move(query), [promise](CommitResult result) { promise->set_value(std::move(result)); });
    require_done(promise->get_future().get());
}

}  // namespace zgoda::service
