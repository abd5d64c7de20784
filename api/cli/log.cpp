#include "api/cli/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <boost/json/serialize.hpp>
#include <string>

namespace zgoda::cli {
namespace {

spdlog::level::level_enum spdlog_level(config::LogLevel level) {
    switch (level) {
        case config::LogLevel::debug:
            return spdlog::level::debug;
        case config::LogLevel::info:
            return spdlog::level::info;
        case config::LogLevel::warn:
            return spdlog::level::warn;
        case config::LogLevel::error:
            break;
    }
    return spdlog::level::err;
}

}  // namespace

Log::Log(config::LogLevel level)
    : logger_(std::make_shared<spdlog::logger>("zgoda", std::make_shared<spdlog::sinks::stderr_sink_mt>())),
      writes_debug_(level == config::LogLevel::debug) {
    logger_->set_formatter(std::make_unique<spdlog::pattern_formatter>(
        R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})", spdlog::pattern_time_type::utc));
    logger_->set_level(spdlog_level(level));
}

void Log::write(config::LogLevel level, std::string_view event, const boost::json::object& fields) const {
    boost::json::object line;
    line.reserve(fields.size() + 1);
    line["event"] = event;
    for (const auto& field : fields) line[field.key()] = field.value();
    const std::string text = boost::json::serialize(line);
    logger_->log(spdlog_level(level), "{}",
                 std::string_view(text).substr(1, text.size() - 2));  // its braces are ours
}

}  // namespace zgoda::cli
