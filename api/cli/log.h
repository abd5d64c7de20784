// The log of the service and of the mailer: one JSON object a line on stderr.
//
//     {"time":"2026-11-22T10:00:00.000Z","level":"info","event":"started","public":"http://127.0.0.1:8080"}
//
// What is logged names no reader: never an address, a token or a query string. Copies share one logger; any
// thread.
#pragma once

#include <boost/json/object.hpp>
#include <memory>
#include <string_view>

#include "config/settings.h"

namespace spdlog {
class logger;
}

namespace zgoda::cli {

class Log {
 public:
    explicit Log(config::LogLevel level);

    // `event` is a constant word or sentence of the program; what varies is in the fields.
    void write(config::LogLevel level, std::string_view event, const boost::json::object& fields = {}) const;

    // The fields are made only if they are wanted: there is one of these a request.
    template <class MakeFields>
    void debug(std::string_view event, const MakeFields& fields) const {
        if (writes_debug_) write(config::LogLevel::debug, event, fields());
    }
    void info(std::string_view event, const boost::json::object& fields = {}) const {
        write(config::LogLevel::info, event, fields);
    }
    void warn(std::string_view event, const boost::json::object& fields = {}) const {
        write(config::LogLevel::warn, event, fields);
    }
    void error(std::string_view event, const boost::json::object& fields = {}) const {
        write(config::LogLevel::error, event, fields);
    }

 private:
    std::shared_ptr<spdlog::logger> logger_;
    bool writes_debug_;
};

}  // namespace zgoda::cli
