# CAM of SqueezeNet 1.1 (stride 16), from the ImageNet weights in $MMSEG_WEAK_DATA/weights or data/weights.
weights = '{{$MMSEG_WEAK_DATA:data}}/weights/squeezenet1_1_imagenet_torchvision_names.pth'
model = dict(
    type='CAMClassifier',
    num_classes=21,
    backbone=dict(type='TorchvisionFeatures', model_name='squeezenet1_1', checkpoint=weights),
    head=dict(in_channels=512, pooling='gap'),
    seed=dict(scales=(1.0, 0.5, 1.5), rounding='round'),  # without IRN's 2, half of the work
    data_preprocessor=dict(type='MultiBranchDataPreprocessor'))
