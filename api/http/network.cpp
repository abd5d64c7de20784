#include "api/http/network.h"

#include <algorithm>

namespace zgoda::http {

Network::Network(int threads) {
    const auto count =
        threads > 0 ? static_cast<unsigned>(threads) : std::max(1U, std::thread::hardware_concurrency());
    for (unsigned i = 0; i < count; ++i) {
        auto& loop = *loops_.emplace_back(std::make_unique<Loop>());
        loop.thread = std::thread([&loop] { loop.context.run(); });
    }
}

Network::~Network() {
    for (const auto& loop : loops_) loop->context.stop();
    for (const auto& loop : loops_) loop->thread.join();
}

}  // namespace zgoda::http
