// Rank class names for the clip of an exported run with ONNX Runtime: rank FOLDER
#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <regex>
#include <stdexcept>
#include <string>
#include <vector>

namespace fs = std::filesystem;

struct Array {
  std::vector<int64_t> shape;
  std::string bytes;
  bool is_bool;

  Ort::Value tensor(const Ort::MemoryInfo& memory) {
    const auto type = is_bool ? ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
    return Ort::Value::CreateTensor(memory, bytes.data(), bytes.size(), shape.data(), shape.size(), type);
  }
};

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(file), {}};
}

// A .npy file of float32 or bool, on a machine whose lowest byte comes first.
Array read_npy(const fs::path& path) {
  const std::string all = read(path);
  const auto byte = [&](size_t at) { return static_cast<size_t>(static_cast<uint8_t>(all.at(at))); };
  const bool first = byte(6) == 1;  // of the format's versions
  const size_t start = first ? 10 : 12;
  size_t length = byte(8) + (byte(9) << 8);
  if (!first) length += (byte(10) << 16) + (byte(11) << 24);
  const std::string header = all.substr(start, length);

  Array found;
  found.is_bool = header.find("'|b1'") != std::string::npos;
  if (!found.is_bool && header.find("'<f4'") == std::string::npos)
    throw std::runtime_error(path.string() + " is neither float32 nor bool");
  std::smatch shape;
  std::regex_search(header, shape, std::regex(R"('shape': \(([^)]*)\))"));
  const std::string sizes = shape[1];
  const std::regex number(R"(\d+)");
  for (std::sregex_iterator one(sizes.begin(), sizes.end(), number), end; one != end; ++one)
    found.shape.push_back(std::stoll(one->str()));
  found.bytes = all.substr(start + length);
  return found;
}

void rank(const fs::path& folder) {
  const auto classes = nlohmann::json::parse(read(folder / "classes.json"));
  std::map<std::string, Array> inputs;
  for (const std::string modality : {"audio", "visual"})
    for (const std::string part : {"", "_mask", "_times"})
      inputs[modality + part] = read_npy(folder / "clip" / (modality + part + ".npy"));
  inputs["class_embeddings"] = read_npy(folder / "class_embeddings.npy");
  Array seen{{static_cast<int64_t>(classes.size())}, "", true};
  for (const auto& one : classes) seen.bytes.push_back(one["seen"].get<bool>());
  inputs["seen"] = seen;

  Ort::Env env(ORT_LOGGING_LEVEL_WARNING);
  Ort::Session model(env, (folder / "model.onnx").c_str(), Ort::SessionOptions{});
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  Ort::AllocatorWithDefaultOptions allocator;
  std::vector<std::string> names;  // a model asks only for what its method uses
  for (size_t i = 0; i < model.GetInputCount(); ++i)
    names.push_back(model.GetInputNameAllocated(i, allocator).get());
  std::vector<const char*> asked;
  std::vector<Ort::Value> values;
  for (const std::string& name : names) {
    asked.push_back(name.c_str());
    values.push_back(inputs.at(name).tensor(memory));
  }
  const char* outputs[] = {"scores", "probabilities"};
  auto found = model.Run(Ort::RunOptions{}, asked.data(), values.data(), values.size(), outputs, 2);

  const float* scores = found[0].GetTensorData<float>();
  const float* probabilities = found[1].GetTensorData<float>();
  std::vector<size_t> order(classes.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  const auto withheld =
      nlohmann::json::parse(read(folder / "export.json"))["percentages_withheld"].get<std::string>();
  for (size_t i = 0; i < std::min<size_t>(5, order.size()); ++i) {
    const auto& one = classes[order[i]];
    if (withheld.empty())
      std::printf("%6.2f%%", 100 * probabilities[order[i]]);
    else
      std::printf("      -");
    std::printf("  %+10.5f  %-6s  %s\n", scores[order[i]], one["kind"].get<std::string>().c_str(),
                one["name"].get<std::string>().c_str());
  }
  if (!withheld.empty()) std::printf("no percentages: %s\n", withheld.c_str());
}

int main(int count, char** arguments) {
  if (count != 2) {
    std::fprintf(stderr, "rank FOLDER: the folder that `ezav export` wrote\n");
    return 2;
  }
  try {
    rank(arguments[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
